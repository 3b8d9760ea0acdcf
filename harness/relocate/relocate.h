// The bytes an instruction must have to do elsewhere what it did at its own address.
#pragma once

#include "harness/code/decode.h"

namespace proberace {

struct RelocatedCode {
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  std::uint8_t length = 0;
  std::span<const std::uint8_t> code() const noexcept { return {bytes.data(), length}; }
};

// InstructionUnsupported for a call or a relative branch with a 16-bit operand size, whose target and return
// address some processors cut to 16 bits and others do not (SDM vol. 2, Jcc; AMD APM vol. 3, Jcc): its effect
// elsewhere cannot be corrected.
Status has_whole_target(const Instruction& instruction);

// The same instruction for execution at `to`. A RIP-relative operand's displacement is rewritten so that it
// names the same address (SDM vol. 2A, 2.2.1.6: relative to the next instruction); relative branches keep
// their displacement. NoRoom if the operand is more than 2 GiB from `to`; InstructionUnsupported for a
// relative branch with a 16-bit target, and for an EIP-relative operand.
std::expected<RelocatedCode, Error> relocate(const Instruction& instruction, Address to);

} // namespace proberace
