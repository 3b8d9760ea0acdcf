// Decodes one instruction into what the harness needs to know of it. Only this folder uses Zydis' decoder.
#pragma once

#include "harness/base/error.h"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace proberace {

inline constexpr std::size_t kMaxInstructionBytes = 15; // SDM vol. 2A, 2.3.11

// How the instruction determines the next program counter.
enum class Flow : std::uint8_t {
  Next,         // the following instruction
  RelativeJump, // jmp rel, jcc, jrcxz, loop: pc-relative, taken or not
  AbsoluteJump, // jmp through a register or memory
  RelativeCall, // pushes the following address
  AbsoluteCall, // pushes the following address
  Return,
};

// Why an instruction cannot be single-stepped, out of line or in place, without special handling.
enum class StepHazard : std::uint8_t {
  None,
  TouchesTrapFlag,    // pushf, popf, iret: the image of RFLAGS holds or replaces TF (H44, H45)
  PostponesTrap,      // mov ss, pop ss: the trap comes one instruction late (H46)
  EntersKernel,       // syscall, sysenter, int n: sees the slot's PC, may not return once (H47)
  RaisesTrap,         // int3, int1, into: the trap is the program's own (H51)
  Privileged,         // hlt, in, out, ...: faults in user mode (H51)
  Transactional,      // xbegin, xend, xabort: a trap aborts the transaction (H51)
  FarTransfer,        // far jmp, call, ret: changes the code segment
  ChangesSegmentBase, // wrfsbase, wrgsbase: the handler's thread-local storage moves (H75)
};

struct Instruction {
  Address address{};
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  std::uint8_t length = 0;
  Flow flow = Flow::Next;
  StepHazard hazard = StepHazard::None;
  bool repeats = false; // rep/repne string instruction: one debug trap per iteration (H43)
  bool locked = false;
  bool operand_size_prefix = false; // 66 among its legacy prefixes
  bool repeat_prefix = false;       // F2 or F3 among them, whatever they mean there
  bool x87 = false;                 // leaves its address in the x87 instruction pointer (H78)
  bool uses_stack_pointer = false;  // in an operand, or by what it does (push, call, leave)
  bool rip_relative = false;
  bool eip_relative = false; // the same with a 32-bit address: names the low 4 GiB, wherever the code lies
  std::uint8_t displacement_offset = 0; // of the 4-byte RIP-relative displacement, in bytes; 0 if none
  std::uint16_t mnemonic = 0;           // ZydisMnemonic

  Address next() const noexcept { return address + length; }
  std::span<const std::uint8_t> code() const noexcept { return {bytes.data(), length}; }
};

// Decodes the instruction that starts with code[0] and lies at `at`, in 64-bit mode. NotABoundary where the
// bytes are no instruction.
std::expected<Instruction, Error> decode(Address at, std::span<const std::uint8_t> code);

// True at index i if decoding forward from code[0] reaches an instruction that begins at code[i]. Decoding
// ends at the first bytes that are no instruction; nothing behind them is a boundary.
std::vector<bool> instruction_boundaries(std::span<const std::uint8_t> code);

std::string_view mnemonic_name(const Instruction& instruction);
std::string_view reason(StepHazard hazard) noexcept;
// Intel syntax.
std::string disassemble(const Instruction& instruction);

} // namespace proberace
