// Arithmetic by the processor itself: each thunk executes one real instruction of one operand size (the names
// of counted rotations end with it) on values taken from elsewhere, so that results and flags, including
// those that the manual leaves undefined, are this processor's own (H52, H53). Trade-off against computing
// flags in C++: some 15 ns for popfq and pushfq, and nothing to get wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace proberace {

// The registers that a thunk takes and gives back. Of the flags, the status flags; all others stay the
// target's. If it is locked, rcx is a pointer to the operand.
struct ThunkRegisters {
  std::uint64_t rax = 0;
  std::uint64_t rdx = 0;
  std::uint64_t rcx = 0;
  std::uint64_t flags = 0; // precondition: nothing but status flags; on return all of RFLAGS
};

// signal-safe.
using Thunk = void (*)(ThunkRegisters*) noexcept;

// Null if there is none. `bytes` is the operand size. Not for signal context.
Thunk thunk_of(std::string_view mnemonic, std::size_t bytes, bool locked) noexcept;

} // namespace proberace
