// An instruction moved elsewhere together with its way back: code that does there what the instruction did at
// its own address, and then jumps to where the program would have continued. No trap, no step, nothing to
// correct afterwards.
//
// Idea: only what depends on the address is rewritten. Everything else runs as it is, followed by a jump to
// the next instruction. Relative branches get 32-bit targets (loop and jrcxz, which have only 8-bit ones,
// jump over a jump); a call becomes a push of the return address the program expects (H41) and a jump. No
// flag and no register is touched (SDM vol. 2: jmp, push and mov leave flags alone). Trade-off: a fault or a
// signal in between sees the new address, and a shadow stack would not know the pushed return address (H62).
#pragma once

#include "harness/code/decode.h"
#include "harness/probe/stepper.h" // kMaxSlotBytes

namespace proberace {

struct ExitCode {
  std::array<std::uint8_t, kMaxSlotBytes> bytes{};
  std::uint8_t length = 0;
  std::span<const std::uint8_t> code() const noexcept { return {bytes.data(), length}; }
};

// The code for execution at `at`. Jumps are rel32 where that reaches, else through an 8-byte address behind
// the code. InstructionUnsupported, by name, for an instruction that must not run elsewhere (every
// StepHazard) and for calls through rsp that cannot be corrected; NoRoom if a RIP-relative operand is more
// than 2 GiB from `at`.
std::expected<ExitCode, Error> relocate_with_exit(const Instruction& instruction, Address at);

// The same for code that may be copied anywhere: every jump goes through an 8-byte address. An instruction
// with a RIP-relative operand is refused: it can only be encoded for a known place.
std::expected<ExitCode, Error> relocate_anywhere(const Instruction& instruction);

} // namespace proberace
