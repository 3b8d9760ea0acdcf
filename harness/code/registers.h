// The registers of a thread, by the names that instructions have for them.
#pragma once

#include "harness/base/enumeration.h"

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

inline constexpr auto kRegisters = enumeration<Named<Register>>({
    {Register::Rax, "rax"},
    {Register::Rcx, "rcx"},
    {Register::Rdx, "rdx"},
    {Register::Rbx, "rbx"},
    {Register::Rsp, "rsp"},
    {Register::Rbp, "rbp"},
    {Register::Rsi, "rsi"},
    {Register::Rdi, "rdi"},
    {Register::R8, "r8"},
    {Register::R9, "r9"},
    {Register::R10, "r10"},
    {Register::R11, "r11"},
    {Register::R12, "r12"},
    {Register::R13, "r13"},
    {Register::R14, "r14"},
    {Register::R15, "r15"},
    {Register::Rip, "rip"},
    {Register::Rflags, "rflags"},
});
constexpr const auto& rows_of(Register) noexcept {
  return kRegisters;
}
inline constexpr std::size_t kRegisterCount = kRegisters.size();
inline constexpr std::uint64_t kStatusFlags = 0x8D5; // CF, PF, AF, ZF, SF, OF, SDM vol. 1, 3.4.3.1
inline constexpr std::uint64_t kTrapFlag = 0x100;    // RFLAGS.TF, SDM vol. 1, 3.4.3.3

enum class Segment : std::uint8_t { Fs, Gs };

// xmm0 to xmm15 (SDM vol. 1, 10.2.2), the low half first.
using Vector = std::array<std::uint64_t, 2>;
inline constexpr std::size_t kVectorCount = 16;

} // namespace proberace
