// A case made ready for one place in a case space: its bytes, the state it starts in, and the memory.
#pragma once

#include "stress/transparency/isa/anatomy.h"
#include "stress/transparency/isa/case_space.h"
#include "stress/transparency/isa/isa_case.h"
#include "stress/transparency/isa/machine_state.h"

#include <utility>

namespace proberace {

struct PreparedCase {
  Instruction instruction; // at its site
  Anatomy anatomy;
  std::vector<std::uint8_t> code; // of its function: [begin, begin + code.size())
  Address begin{};                // of the function
  MachineState start;
  std::vector<std::uint64_t> memory;                    // repeated over data and stack
  std::vector<std::pair<Address, std::uint64_t>> pokes; // over it
};

// Why a case cannot be tried; a word or two.
using Untried = std::string_view;

// `any_flags`: also with DF and AC set.
std::expected<PreparedCase, Untried> prepare(const IsaCase& c, const InstructionForm& form,
                                             const CaseSpace& space, std::size_t place, bool any_flags);

// Fills the data and the used part of the stack as the case wants them.
void fill_memory(const PreparedCase& c, const CaseSpace& space);

} // namespace proberace
