// Code that does elsewhere what an instruction did at its own address, and then goes on where the instruction
// would have: the following instruction, its target, or whatever its operand names.
//
// Idea: most instructions do the same anywhere, and a jump back follows them. What depends on the PC is said
// otherwise: a relative branch names its target anew, a call pushes the original return address and jumps, so
// that callee, unwinder and return address prediction by value see what they always saw. No register and no
// flag is touched and nothing is written but what the instruction writes. Trade-off: a thread is inside for
// a few instructions, and a call is two of them.
#pragma once

#include "harness/probe/decode.h"

#include <optional>

namespace proberace {

inline constexpr std::size_t kMaxExitBytes = 64;

struct CodeWithExit {
  std::array<std::uint8_t, kMaxExitBytes> bytes{};
  std::uint8_t length = 0;
  std::span<const std::uint8_t> code() const noexcept { return {bytes.data(), length}; }
};

// For execution at `at`: RIP-relative operands are rebased, and jumps are rel32 where what they name is in
// reach. Without `at` the code is position-independent and may be copied anywhere; an instruction with a
// RIP-relative operand is then refused. InstructionUnsupported names the instruction and why; NoRoom if a
// RIP-relative operand is out of reach of `at`.
std::expected<CodeWithExit, Error> relocate_with_exit(const Instruction& instruction, std::optional<Address> at);

} // namespace proberace
