// TrapContext over a thread that stands in a SIGTRAP stop.
//
// The tracer makes single steps (PTRACE_SINGLESTEP). Asynchronous signals wait in the kernel meanwhile,
// behind the thread's signal mask (PTRACE_SETSIGMASK), so the kernel keeps their order and siginfo. Changed
// registers are written once, by commit().
#pragma once

#include "harness/probe/trap_context.h"
#include "harness/ptrace/trace_request.h"
#include "harness/ptrace/traced_memory.h"
#include "harness/ptrace/tracee.h"

namespace proberace {

class PtraceContext final : public TrapContext {
public:
  PtraceContext(Tracee& tracee, const TracedMemory& memory, TracedSites& sites) noexcept
      : tracee_(tracee), memory_(memory), sites_(sites) {}

  // False if the thread was killed meanwhile; then no other member may be called.
  bool fetch() noexcept;
  void commit() noexcept;

  std::uint64_t get(Register r) const noexcept override;
  void set(Register r, std::uint64_t word) noexcept override;
  Vector vector(std::uint8_t number) const noexcept override;
  void set_vector(std::uint8_t number, const Vector& v) noexcept override;
  bool load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept override;
  bool store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept override;
  void* in_place(Address, std::size_t, HardwareFault&) noexcept override { return nullptr; }
  std::uint64_t segment_base(Segment segment) const noexcept override;
  void raise(const HardwareFault& fault) noexcept override { raised_ = fault; }
  bool write_code_byte(Address at, std::uint8_t byte) noexcept override {
    return memory_.write(at, {&byte, 1}) == 0;
  }
  void start_single_step() noexcept override;
  void stop_single_step() noexcept override;
  void move_x87_pointer(Address from, Address to) noexcept override;
  void took(Path path) noexcept override { sites_.took(path); }

  // Forgets what was set since fetch(), and a fault that was raised.
  void drop() noexcept;
  // From now on load and store also reach pages that are not present, which they may have to wait for.
  void access_what_is_not_there() noexcept { only_present_ = false; }
  bool stepping() const noexcept { return stepping_; }
  const std::optional<HardwareFault>& raised() const noexcept { return raised_; }

private:
  HardwareFault fault_at(Address at, std::size_t bytes, bool writing) const noexcept;

  Tracee& tracee_;
  const TracedMemory& memory_;
  TracedSites& sites_;
  bool is_there(Address at, std::size_t bytes, bool writing) const noexcept;

  user_regs_struct registers_{};
  user_regs_struct fetched_{};
  bool changed_ = false;
  bool only_present_ = true;
  bool stepping_ = false;
  std::optional<HardwareFault> raised_;
};

} // namespace proberace
