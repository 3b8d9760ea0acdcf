// The registers of a thread, by the names that instructions have for them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace proberace {

// The first sixteen in the hardware's own numbering (SDM vol. 2A, table 3-1).
enum class Register : std::uint8_t {
  Rax,
  Rcx,
  Rdx,
  Rbx,
  Rsp,
  Rbp,
  Rsi,
  Rdi,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15,
  Rip,
  Rflags
};

inline constexpr std::size_t kRegisterCount = 18;
inline constexpr std::uint64_t kTrapFlag = 0x100; // RFLAGS.TF, SDM vol. 1, 3.4.3.3

enum class Segment : std::uint8_t { Fs, Gs };

// xmm0 to xmm15 (SDM vol. 1, 10.2.2), the low half first.
using Vector = std::array<std::uint64_t, 2>;
inline constexpr std::size_t kVectorCount = 16;

} // namespace proberace
