// System calls that a traced process makes because its tracer wants them: how memory gets into a process that
// did not ask for it, as the mail describes.
//
// One thread is stopped where nothing of it is half done (PTRACE_INTERRUPT), given the registers of a system
// call and the address of a syscall instruction in its own vdso, run from system-call stop to system-call
// stop, interrupted again, and given its registers and signal mask back. It ends in the kind of stop it was
// in, so that a system call it was blocked in is restarted by the kernel as after any interruption
// (arch/x86/kernel/signal.c, arch_do_signal_or_restart). A few calls are never restarted after a stop
// (signal(7): epoll_wait, semop, ...); threads blocked in those are chosen last.
#pragma once

#include "harness/ptrace/traced_memory.h"
#include "harness/ptrace/tracees.h"

#include <array>
#include <functional>

namespace proberace {

class InjectedCalls {
public:
  using Arguments = std::array<std::uint64_t, 6>;

  // `handle` acts on a stop that is no place for a call, and lets the thread go on.
  InjectedCalls(Tracees& tracees, const TracedMemory& memory, std::function<void(Tracee&)> handle)
      : tracees_(tracees), memory_(memory), handle_(std::move(handle)) {}

  // A thread that is known to wait in a call that the kernel restarts; 0 for none.
  void prefer(pid_t thread) noexcept { preferred_ = thread; }

  // The kernel's result, -errno for its failure. The thread that made it stays stopped, its stop still to be
  // handled. ThreadWouldNotStop, NoPermission if there is no syscall instruction to run.
  std::expected<long, Error> call(long number, const Arguments& arguments);
  // The same on a thread that is stopped already. Unsupported if none stands at a place for it.
  std::expected<long, Error> call_while_stopped(long number, const Arguments& arguments);

private:
  Tracee* standing();
  Tracee* candidate();
  std::expected<Tracee*, Error> hold();
  std::expected<Address, Error> gate();
  std::expected<long, Error> make(Tracee& tracee, long number, const Arguments& arguments);
  bool run_to(pid_t thread, int request, bool (*arrived)(int status), bool& stop_taken);

  Tracees& tracees_;
  const TracedMemory& memory_;
  const std::function<void(Tracee&)> handle_;
  pid_t preferred_ = 0;
};

} // namespace proberace
