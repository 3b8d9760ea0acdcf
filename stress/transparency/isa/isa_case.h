// One random instruction and the state it runs in, as RapidCheck invents and shrinks it. A value: the same
// seed and number give the same case everywhere.
#pragma once

#include "stress/transparency/isa/forms.h"

#include <rapidcheck.h>
#include <vector>

namespace proberace {

// The place of an operand in memory.
enum class Where : std::uint8_t {
  Anywhere,
  Aligned,
  AcrossPages,
  ReadOnly,
  IntoReadOnly,
  NoAccess,
  IntoNoAccess,
  Nowhere,
  NotCanonical,
  KernelHalf,
};

// The content of a register or a word of memory.
struct Word {
  enum class Kind : std::uint8_t { Number, Data, Stack, Code }; // the last three: an address there
  Kind kind = Kind::Number;
  std::uint64_t number = 0; // or what chooses the address
};

struct IsaCase {
  bool integer = true; // of which list of mnemonics
  std::uint32_t mnemonic = 0;
  std::uint32_t form = 0;
  OperandChoice operands{};
  std::vector<Word> registers{};            // 16
  std::vector<Word> memory{};               // repeated over the data and the stack
  std::vector<std::uint64_t> vectors{};     // repeated over the vector registers
  std::uint64_t status = 0;                 // of RFLAGS
  std::uint32_t mxcsr = 0, x87_control = 0; // deviation from what processes start with
  std::array<Where, 2> where{};
  std::array<std::uint32_t, 2> offset{};
  std::uint32_t stack = 0;  // where on the stack
  std::uint32_t place = 0;  // where in its text
  std::uint32_t branch = 0; // where a branch goes
  std::uint32_t pad = 0;    // what lies behind the instruction
};

// If IsaCase::stack % 16 is 1 or 3, rsp is stack / 16 % kNearEnd bytes below the end (with 1: aligned). Otherwise it is
// anywhere (prepared_case.cpp).
inline constexpr std::uint32_t kNearEnd = 32;
constexpr std::uint32_t stack_choice_below_end(std::uint32_t bytes) noexcept {
  return 16 * bytes + 3;
}

// RapidCheck's tree of a case and what it shrinks to. From kAimed on, numbers name cases that are aimed at a mnemonic and a
// kind of operand (operand_cells.h).
rc::Shrinkable<IsaCase> isa_case(std::uint64_t seed, std::uint64_t number);
// The case at the end of a path of shrinks: the first number names one of the case's own shrinks, and so on.
// None if there is none.
std::optional<IsaCase> isa_case(std::uint64_t seed, std::uint64_t number,
                                const std::vector<std::size_t>& path);

// Of any mnemonic; or of these alone, if there are any. Precondition: the catalogue knows each of them.
const InstructionForm& form_of(const IsaCase& c, const std::vector<std::string>& only);

} // namespace proberace
