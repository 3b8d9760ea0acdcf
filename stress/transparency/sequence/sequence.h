// A random short body of code with several neighbouring sites: what it is made of, as RapidCheck invents and
// shrinks it. sequence_code.h turns it into instructions.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/cell/verdict.h"

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
};

inline void to_json(Json& j, const Step& s) {
  j = Json::array({static_cast<int>(s.kind), s.a, s.b, s.c, s.immediate});
}
inline void from_json(const Json& j, Step& s) {
  s.kind = static_cast<StepKind>(j.at(0).get<unsigned>() % kStepKinds);
  s.a = j.at(1);
  s.b = j.at(2);
  s.c = j.at(3);
  s.immediate = j.at(4);
}
inline void to_json(Json& j, const Sequence& s) {
  j = Json{{"steps", s.steps}, {"sites", s.sites}, {"state", s.state}};
}
inline void from_json(const Json& j, Sequence& s) {
  j.at("steps").get_to(s.steps);
  j.at("sites").get_to(s.sites);
  j.at("state").get_to(s.state);
}

} // namespace proberace
