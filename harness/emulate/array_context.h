// For tests: a TrapContext over registers in an array and this process' own memory.
#pragma once

#include "harness/base/raw_syscall.h"
#include "harness/emulate/native_step.h"
#include "harness/trap/guarded_memory.h"

#include <asm/prctl.h>
#include <cstdlib>
#include <sys/syscall.h>

namespace proberace {

class ArrayContext final : public TrapContext {
public:
  explicit ArrayContext(const RegisterFile& file) : registers(file) {}

  RegisterFile registers;
  std::optional<HardwareFault> fault{};
  int raised = 0;
  std::array<Vector, kVectorCount> vectors{};

  std::uint64_t get(Register r) const noexcept override { return registers[static_cast<std::size_t>(r)]; }
  void set(Register r, std::uint64_t word) noexcept override {
    registers[static_cast<std::size_t>(r)] = word;
  }
  Vector vector(std::uint8_t number) const noexcept override { return vectors[number]; }
  void set_vector(std::uint8_t number, const Vector& v) noexcept override { vectors[number] = v; }
  bool load(Address from, std::span<std::uint8_t> to, HardwareFault& f) const noexcept override {
    if (!readable(from, to.size(), f))
      return false;
    std::memcpy(to.data(), bytes_at(from), to.size());
    return true;
  }
  bool store(Address to, std::span<const std::uint8_t> from, HardwareFault& f) noexcept override {
    if (!writable(to, from.size(), f))
      return false;
    std::memcpy(bytes_at(to), from.data(), from.size());
    return true;
  }
  void* in_place(Address at, std::size_t bytes, HardwareFault& f) noexcept override {
    return writable(at, bytes, f) ? bytes_at(at) : nullptr;
  }
  std::uint64_t segment_base(Segment segment) const noexcept override {
    std::uint64_t base = 0;
    raw_syscall(SYS_arch_prctl, segment == Segment::Fs ? ARCH_GET_FS : ARCH_GET_GS, &base);
    return base;
  }
  void raise(const HardwareFault& f) noexcept override {
    fault = f;
    ++raised;
  }
  bool write_code_byte(Address, std::uint8_t) noexcept override { std::abort(); } // emulation needs none
  void start_single_step() noexcept override { std::abort(); }
  void stop_single_step() noexcept override { std::abort(); }
  void move_x87_pointer(Address, Address) noexcept override { std::abort(); }
  void took(Path) noexcept override {}
};

} // namespace proberace
