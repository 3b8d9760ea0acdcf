// An instruction's operands in a form to compute with: registers, memory, immediates, as the manual writes
// them (SDM vol. 2A, 2.1.5), with everything that depends on the instruction's own address already worked
// out.
#pragma once

#include "harness/code/decode.h"
#include "harness/code/registers.h"

#include <optional>

namespace proberace {

struct Operand {
  enum class Kind : std::uint8_t {
    Register,  // a general-purpose register, or part of one
    Memory,    // also the address of lea and of a multi-byte nop
    Immediate, // sign-extended to 64 bits where the manual sign-extends; a relative branch's target, absolute
    Xmm,       // xmm0 to xmm15
    Other,     // segment, control, mask, wider vector registers, far pointers
  };
  Kind kind = Kind::Other;
  std::uint8_t bytes = 0; // of the value

  Register reg = Register::Rax;
  bool high_byte = false; // ah, ch, dh, bh
  std::uint8_t vector = 0;

  std::optional<Register> base{};
  std::optional<Register> index{};
  std::uint8_t scale = 1;
  std::int64_t displacement = 0; // with a RIP-relative operand the absolute address, and no base
  std::optional<Segment> segment{};
  bool on_stack_segment = false; // by default: base rsp or rbp

  std::uint64_t immediate = 0;
};

struct Operands {
  static constexpr std::size_t kMost = 4;
  std::array<Operand, kMost> list{};
  std::uint8_t count = 0;
  std::uint8_t width = 0;      // the effective operand size in bytes
  bool narrow_address = false; // addresses are 32 bits wide (prefix 67)
  bool elision_prefix = false; // xacquire, xrelease
};

// The operands that the manual's mnemonic line shows, in its order. `instruction` came from decode().
Operands operands_of(const Instruction& instruction);

} // namespace proberace
