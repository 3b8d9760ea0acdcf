// How an instruction reaches memory and where it can go: what the generator must know to aim its operands.
// Unlike operand.h it shows the operands the manual's mnemonic line leaves out, and vector indices.
#pragma once

#include "harness/code/decode.h"
#include "harness/probe/trap_context.h"

#include <optional>
#include <vector>

namespace proberace {

struct MemoryReach {
  std::optional<Register> base{}, index{};
  std::optional<std::size_t> vector_index{}; // number of the vector register
  std::size_t lane_bytes = 0;                // of one index in it
  std::uint8_t scale = 1;
  std::int64_t displacement = 0;
  std::optional<Segment> segment{};
  bool rip_relative = false;
  bool narrow = false;   // addresses are 32 bits wide
  bool accessed = false; // not only computed (lea, nop)
};

// Of a division.
struct Divisor {
  Register where;
  unsigned bits;
  bool is_signed;
};

struct Anatomy {
  std::vector<MemoryReach> memory{};
  std::size_t displacement_offset = 0; // of an address or displacement in the instruction's own bytes
  std::size_t displacement_bytes = 0;
  std::optional<Register> jumps_through{};  // a register
  std::optional<Register> bit_offset{};     // a register that reaches beyond its operand (bt)
  std::optional<Register> writes_through{}; // a register that holds an address, and is no memory operand
  std::optional<Register> counter{};        // of a repeated string instruction, a loop
  std::optional<Divisor> divides{};         // a register that no part of the dividend is in
  bool jumps_through_memory = false;
  bool returns = false;
  bool restores_frame = false; // leave, enter: rbp is a stack pointer
  bool system_call = false;
  // Registers, besides flags, whose values differ from one execution to the next (rdtsc, rdrand).
  std::vector<Register> unpredictable{};
  bool unpredictable_flags = false;
};

// Precondition: decode() took it.
Anatomy anatomy_of(const Instruction& instruction);

} // namespace proberace
