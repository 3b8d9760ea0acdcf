// A random short body of code with several neighbouring sites: what it is made of, as RapidCheck invents and
// shrinks it. sequence_code.h turns it into instructions.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/base/json_fields.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace proberace {

// The kinds of steps. Those that jump over steps, or repeat them, take the steps behind them as their inner
// ones.
enum class StepKind : std::uint8_t {
  RegisterRegister,  // mov, add, adc, sbb, cmp, xchg, ... of two registers
  RegisterImmediate, // the same with an immediate of one or four bytes
  OneRegister,       // inc, dec, neg, not, shifts and rotations by one
  OnCondition,       // setcc or cmovcc
  StoreRedZone,      // mov below the stack pointer
  ReadRedZone,       // add from there
  ChangeRedZone,     // add, or lock xadd, there
  RipRelative,       // add or cmp with a word behind the code
  LoadAddress,       // lea of a sum
  VectorSum,         // out of a register, paddq or pxor, and back
  Call,              // of a leaf: directly, or through a register
  Copy,              // rep movsb within the red zone
  LoopToItself,      // loop to its own address
  BranchOver,        // jcc over the inner steps
  JumpOver,          // jmp over them
  BranchOnRcx,       // jrcxz over them
  Repeat,            // the inner steps again and again, by loop or by dec and jnz
  PushPop,           // a register pushed, the inner steps, another one popped
};
inline constexpr std::size_t kStepKinds = enumerator_count<StepKind>();

struct Step {
  StepKind kind = StepKind::RegisterRegister;
  std::uint8_t a = 0, b = 0,
               c = 0; // registers, mnemonics, conditions, lengths: each taken modulo what there is
  std::int32_t immediate = 0;
  friend bool operator==(const Step&, const Step&) = default;
};

struct Sequence {
  std::vector<Step> steps;
  // The instructions to probe, each modulo their number; all of them if there are none.
  std::vector<std::uint16_t> sites;
  std::uint32_t state = 0; // the seed of the registers, flags and vectors it starts with
  friend bool operator==(const Sequence&, const Sequence&) = default;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("steps", self.steps);
    field("sites", self.sites);
    field("state", self.state);
  }
};

// Five numbers: {kind, a, b, c, immediate}.
template <> struct JsonForm<Step> {
  static Json write(const Step& s) {
    return Json::array({static_cast<unsigned>(s.kind), s.a, s.b, s.c, s.immediate});
  }
  static std::optional<Step> read(const Json& json) {
    if (!json.is_array() || json.size() != 5)
      return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i)
      if (!json[i].is_number_unsigned() || json[i] > UINT8_MAX)
        return std::nullopt;
    if (!json[4].is_number_integer() || json[4] < INT32_MIN || json[4] > INT32_MAX)
      return std::nullopt;
    if (json[0] >= kStepKinds)
      return std::nullopt;
    return Step{static_cast<StepKind>(json[0].get<unsigned>()), json[1], json[2], json[3], json[4]};
  }
  static std::string expected() { return "a step as five numbers: kind, a, b, c, immediate"; }
};

} // namespace proberace
