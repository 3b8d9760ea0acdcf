// One thread at a trap. The transport that took the trap supplies access to registers and memory, so that the
// same stepper source runs in a signal handler and under ptrace. All members are signal-safe.
#pragma once

#include "harness/base/address.h"
#include "harness/code/registers.h"
#include "harness/probe/paths.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace proberace {

// A fault as the hardware would have reported it at the thread's PC: sigaction(2)'s si_signo, si_code and
// si_addr.
struct HardwareFault {
  int signal = 0;
  int code = 0;
  Address address{};
};

class TrapContext {
public:
  virtual std::uint64_t get(Register r) const noexcept = 0;
  virtual void set(Register r, std::uint64_t value) noexcept = 0;

  // Precondition: number < kVectorCount. The parts above the 16 bytes (ymm, zmm) stay as they are.
  virtual Vector vector(std::uint8_t number) const noexcept = 0;
  virtual void set_vector(std::uint8_t number, const Vector& value) noexcept = 0;

  Address pc() const noexcept { return Address{get(Register::Rip)}; }
  void set_pc(Address a) noexcept { set(Register::Rip, value(a)); }

  // Reach the target's data with the thread's own rights. False if a byte is not accessible that way: then
  // nothing was done, and `fault` is what the hardware would have reported. 1, 2, 4, 8 or 16 bytes are one
  // access if the transport runs in the target.
  virtual bool load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept = 0;
  virtual bool store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept = 0;
  // The same memory in place, writable, for an atomic read-modify-write. Null, with `fault` filled, if it is
  // not accessible. Precondition: the transport has Abilities::atomic_access.
  virtual void* in_place(Address at, std::size_t bytes, HardwareFault& fault) noexcept = 0;
  virtual std::uint64_t segment_base(Segment segment) const noexcept = 0;

  // The displaced instruction faults: no part of it is done, and the registers are as they were at the site.
  // When the thread continues, it is sent the signal there, as if the hardware had raised it (H32).
  virtual void raise(const HardwareFault& fault) noexcept = 0;

  // One word of the stack. False if it is not accessible: then nothing was done.
  bool read_word(Address at, std::uint64_t& out) const noexcept {
    std::uint8_t bytes[sizeof out];
    HardwareFault fault;
    const bool done = load(at, bytes, fault);
    if (done)
      std::memcpy(&out, bytes, sizeof out);
    return done;
  }
  bool write_word(Address at, std::uint64_t word) noexcept {
    std::uint8_t bytes[sizeof word];
    std::memcpy(bytes, &word, sizeof word);
    HardwareFault fault;
    return store(at, bytes, fault);
  }

  // One byte of the target's code, past its page permission; other cores are not serialised.
  virtual bool write_code_byte(Address at, std::uint8_t byte) noexcept = 0;

  // From the moment that it resumes until stop_single_step, the thread executes one instruction at a time:
  // the trap flag is set, and asynchronous signals are held back. The transport calls Stepper::finish at each
  // debug trap.
  virtual void start_single_step() noexcept = 0;
  // Puts the trap flag and the signal mask back as start_single_step found them.
  virtual void stop_single_step() noexcept = 0;

  // If the x87 instruction pointer (SDM vol. 1, 8.1.8) is `from`, it becomes `to`.
  virtual void move_x87_pointer(Address from, Address to) noexcept = 0;

  // Counts the path that this hit took.
  virtual void took(Path path) noexcept = 0;

protected:
  ~TrapContext() = default;
};

} // namespace proberace
