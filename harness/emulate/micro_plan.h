// An instruction made ready to be emulated: everything that can be known of it before a hit, so that the hit
// path only follows it.
//
// Idea: plan() decodes once, in control context; what is left is a runner (one per shape of instruction), the
// places its operands lie in, and, for arithmetic, a thunk that executes the real instruction. Nothing is
// kept across a hit: a thread is never "inside" an emulated instruction, so signals, faults, forks and jumps
// out of handlers find nothing to disturb. Trade-off: only what the table knows (semantics.cpp) can be
// emulated; the rest is refused by name.
#pragma once

#include "harness/emulate/thunks.h"
#include "harness/probe/stepper.h"

#include <array>

namespace proberace {

struct Place {
  enum class Kind : std::uint8_t { None, Register, HighByte, Memory, Immediate, Xmm };
  Kind kind = Kind::None;
  std::uint8_t bytes = 0;
  Register reg = Register::Rax;
  std::uint8_t vector = 0; // the register's number, and
  std::uint8_t at = 0;     // the first of the bytes in it

  bool operator==(const Place&) const = default;
};

// base + index * 2^shift + displacement, then the segment's base (SDM vol. 1, 3.7.5).
struct EffectiveAddress {
  std::int64_t displacement = 0;
  Register base = Register::Rax;
  Register index = Register::Rax;
  Segment segment = Segment::Fs;
  std::uint8_t shift = 0;
  bool has_base = false;
  bool has_index = false;
  bool has_segment = false;
  bool narrow = false; // 32 bits wide
  bool on_stack_segment = false;
};

// Which places a thunk's registers come from and go to. `first` is written back before `second`.
struct ThunkWiring {
  Place rax{}, rdx{}, rcx{};
  enum class Output : std::uint8_t { None, Rax, Rdx, Rcx };
  struct WriteBack {
    Output from = Output::None;
    Place to{};
  };
  WriteBack first{}, second{};
};

struct MicroPlan;

// signal-safe. Completes the instruction, or raises its fault with nothing of it done.
using Runner = void (*)(TrapContext& context, const MicroPlan& plan) noexcept;

struct MicroPlan final : StepPlan {
  Runner run = nullptr;
  Thunk thunk = nullptr;
  Address next{};   // the following instruction
  Address target{}; // of a relative branch
  std::uint64_t immediate = 0;
  EffectiveAddress address{}; // no instruction covered has two memory operands
  Place to{}, from{};
  ThunkWiring wiring{};
  std::uint8_t condition = 0; // the low four bits of jcc's, setcc's, cmovcc's opcode (SDM vol. 2D, B.1.4.7)
  std::uint8_t width = 0;     // of what is pushed or popped, in bytes; of the counter of loop and jrcxz
  std::uint16_t released = 0; // ret imm16
  bool sign_extends = false;
  bool divides_signed = false;
  bool zeroes_rest = false;    // of the vector register written to
  bool aligned = false;        // the operand in memory must be, or #GP
  bool operand_in_rcx = false; // where the thunk takes an operand in memory; else in rax

  PlanEnd end() const noexcept override { return PlanEnd::AtOnce; }
};

// InstructionUnsupported, by name and with the reason, for what cannot be emulated. Not for signal context.
std::expected<std::unique_ptr<const MicroPlan>, Error> plan_emulation(const Instruction& instruction,
                                                                      const Abilities& abilities);

} // namespace proberace
