// Everything of a thread that an instruction can read and change but memory: general registers, flags, PC,
// and the x87, SSE, AVX and AVX-512 state in the layout of a signal frame (SDM vol. 1, 13.4, the standard
// form).
#pragma once

#include "harness/probe/trap_context.h"

#include <array>
#include <string>
#include <ucontext.h>
#include <vector>

namespace proberace {

inline constexpr std::uint64_t kResumeFlag = 0x10000; // RFLAGS.RF: set in the image a fault pushes
inline constexpr std::uint64_t kDirectionFlag = 0x400;
inline constexpr std::uint64_t kAlignmentCheck = 0x40000;

struct MachineState {
  static constexpr std::size_t kVectorBytes = 4096;

  std::array<std::uint64_t, kRegisterCount> registers{};
  alignas(64) std::array<std::uint8_t, kVectorBytes> vector{};

  std::uint64_t& at(Register r) noexcept { return registers[static_cast<std::size_t>(r)]; }
  std::uint64_t at(Register r) const noexcept { return registers[static_cast<std::size_t>(r)]; }
};

// A part of the vector image.
struct VectorField {
  std::string name;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  bool last_instruction = false; // of the x87 unit: opcode, instruction and data pointer
};
// Those this processor and kernel have.
const std::vector<VectorField>& vector_fields();
// The place of the 64-byte lanes of register `n`: offset and bytes of each part, lowest first.
std::vector<VectorField> parts_of_vector_register(std::size_t n);

// signal-safe. From a signal frame, and to it; what the frame does not say of the vector state is zero.
MachineState state_in(const ucontext_t& frame) noexcept;
void put_state(ucontext_t& frame, const MachineState& state) noexcept;

} // namespace proberace
