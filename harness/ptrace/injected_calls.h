// System calls that a traced process makes because its tracer wants them. They put memory into a process that
// did not ask for it, as the mail describes.
//
// Idea: one thread is stopped at a place where nothing is half done (PTRACE_INTERRUPT). It is given the
// registers of a system call and the address of a syscall instruction in its own vdso, runs from system-call
// stop to system-call stop, is interrupted again, and is given its registers and signal mask back. It ends in
// the kind of stop in which it was, so that the kernel restarts a system call in which it was blocked, as
// after any interruption (arch/x86/kernel/signal.c, arch_do_signal_or_restart). Trade-off: a few calls are
// never restarted after a stop (signal(7): epoll_wait, semop, ...); threads that are blocked in those are
// chosen last.
#pragma once

#include "harness/ptrace/traced_memory.h"
#include "harness/ptrace/tracees.h"

#include <array>
#include <functional>

namespace proberace {

class InjectedCalls {
public:
  using Arguments = std::array<std::uint64_t, 6>;

  // `handle` acts on a stop that is no place for a call, and lets the thread continue.
  InjectedCalls(Tracees& tracees, const TracedMemory& memory, std::function<void(Tracee&)> handle)
      : tracees_(tracees), memory_(memory), handle_(std::move(handle)) {}

  // From now on calls are made by this thread, which stands before the delivery of a signal, in no system call; null:
  // by one that `call` stops. It stays stopped, in another kind of stop.
  void by(Tracee* hit) noexcept { hit_ = hit; }
  // After an exec: the code is gone that the calls were made with.
  void forget() noexcept { gate_ = Address{}; }
  // A thread that is known to wait in a call that the kernel restarts; 0 for none.
  void prefer(pid_t thread) noexcept { preferred_ = thread; }

  // A call whose thread a seccomp filter watches is made with the filter suspended, if the kernel lets us, because a
  // filter may kill the program for a call that it does not make itself; syscall user dispatch is switched off meanwhile
  // (ptrace(2), PTRACE_O_SUSPEND_SECCOMP; Documentation/admin-guide/syscall-user-dispatch.rst). NoPermission if not.
  //
  // The kernel's result, -errno for its failure. The thread that made the call stays stopped, and its stop is
  // still to be handled. ThreadWouldNotStop; MachineLacks if there is no syscall instruction to run.
  std::expected<long, Error> call(long number, const Arguments& arguments);
  // The same on a thread that is stopped already. Unsupported if none stands at a place for a call.
  std::expected<long, Error> call_while_stopped(long number, const Arguments& arguments);

private:
  Tracee* standing();
  Tracee* candidate();
  std::expected<Tracee*, Error> hold();
  std::expected<Address, Error> gate();
  std::expected<Address, Error> find_gate() const;
  std::expected<long, Error> make(Tracee& tracee, long number, const Arguments& arguments);
  bool run_to(pid_t thread, int request, bool (*arrived)(int status), bool& stop_taken);

  Tracees& tracees_;
  const TracedMemory& memory_;
  const std::function<void(Tracee&)> handle_;
  Tracee* hit_ = nullptr;
  Address gate_{}; // a syscall instruction; null if none was looked for
  pid_t preferred_ = 0;
};

} // namespace proberace
