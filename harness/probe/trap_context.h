// One thread at a trap, whoever took it: the transport fills in how registers and memory are reached, so that
// the same stepper source runs in a signal handler and, later, under ptrace. All members are signal-safe.
#pragma once

#include "harness/base/address.h"
#include "harness/probe/paths.h"

#include <cstdint>
#include <span>

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

class TrapContext {
public:
  virtual std::uint64_t get(Register r) const noexcept = 0;
  virtual void set(Register r, std::uint64_t value) noexcept = 0;

  Address pc() const noexcept { return Address{get(Register::Rip)}; }
  void set_pc(Address a) noexcept { set(Register::Rip, value(a)); }

  // The 8 bytes at `at` in the target's data. False if they are not accessible.
  virtual bool read_word(Address at, std::uint64_t& out) const noexcept = 0;
  virtual bool write_word(Address at, std::uint64_t word) noexcept = 0;
  // One byte of the target's code, past its page permission; other cores are not serialised.
  virtual bool write_code_byte(Address at, std::uint8_t byte) noexcept = 0;

  // From resuming until the matching stop, the thread executes one instruction at a time: the trap flag is
  // set, and asynchronous signals are held back. The transport calls Stepper::finish at each debug trap.
  virtual void start_single_step() noexcept = 0;
  // Puts the trap flag and the signals back as start_single_step found them.
  virtual void stop_single_step() noexcept = 0;

  // Counts the path this hit took.
  virtual void took(Path path) noexcept = 0;

protected:
  ~TrapContext() = default;
};

} // namespace proberace
