// Owns the threads of a traced process and the probes in it. The `ptrace` transport and `proberace run` are
// made of it.
//
// Idea: work as utrace and debuggers do. A hit is a SIGTRAP stop. The supervisor counts it and runs, on the
// thread's registers, the same steppers that run in a signal handler. One thread of the supervisor handles
// one event after the other, so there is no lock and no quiescence, and a probe is simply removed between two
// events. Trade-off: a trap costs two context switches, and all threads' hits queue for one process.
//
// It passes on signals, unchanged, with their siginfo; group stops (PTRACE_LISTEN) and SIGCONT; and the
// program's own SIGTRAPs.
//
// A forked child has copies of the armed pages, so the original bytes are put back in it and it is let go
// (H27, H72). A child that shares the memory (vfork, posix_spawn, clone) stays traced until it execs or ends
// (H28). After an exec the probes are gone with the old image.
//
// After SIGKILL of the supervisor the kernel detaches the threads (there is no PTRACE_O_EXITKILL), the int3s
// stay, and the next thread that executes one dies of SIGTRAP. Nothing can win that race (H77).
#pragma once

#include "harness/probe/armer.h"
#include "harness/probe/prober.h"
#include "harness/ptrace/armed_sites.h"
#include "harness/ptrace/entry_stop.h"
#include "harness/ptrace/injected_calls.h"
#include "harness/ptrace/traced_code.h"
#include "harness/ptrace/traced_slots.h"
#include "harness/ptrace/trap_stops.h"

namespace proberace {

class Supervisor {
public:
  using Placement = ArmedSites::Placement;

  // Without an armer it arms no site: it only stops threads and lets them go.
  Supervisor(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper);

  // Seizes every thread of the process; no thread stops. This process must stay the only tracer.
  Status attach(pid_t process);
  // Removes every probe, unmaps the slots, lets every thread go. The error says what stays behind.
  Status detach();

  // Becomes readable when serve() may have something to do.
  int descriptor() const noexcept { return tracees_.descriptor(); }
  // Handles every event there is, without waiting.
  void serve();
  // In a controlled run: handles the events of threads that have been granted their turn.
  void serve_granted();
  void wait_until(std::chrono::steady_clock::time_point deadline) { tracees_.wait_until(deadline); }
  // Precondition: the process is about to exec. Serves until the new image's libraries are mapped, and leaves
  // the thread stopped at AT_ENTRY, to which the dynamic linker jumps last, until serve(). BadInput if it
  // ends before.
  Status run_to_entry();

  // Serves meanwhile, unless the program stands at its entry.
  SiteResults arm(std::span<const Placement> placements);
  SiteResults disarm(std::span<const Site> sites) { return armed_.disarm(sites); }
  // Names a thread that waits in a call that the kernel restarts: the best one to interrupt.
  void prefer(pid_t thread) noexcept { calls_.prefer(thread); }

  // Calls `f` with each thread that the process creates from now on, before it has executed an instruction.
  void on_new_thread(std::function<void(pid_t)> f) { new_thread_ = std::move(f); }
  // Stops every thread, until serve().
  Status stop_all() { return tracees_.stop_all(); }

  pid_t process() const noexcept { return tracees_.process(); }
  bool process_lives() const noexcept { return tracees_.process_lives(); }
  // True if every thread of the process stands still until SIGCONT.
  bool in_group_stop() const noexcept { return tracees_.in_group_stop(); }
  std::optional<int> exit_status() const noexcept { return tracees_.exit_status(); }
  int execs() const noexcept { return execs_; }
  const TracedSites& sites() const noexcept { return sites_; }
  Footprint footprint() const;

private:
  static bool waits_for_its_turn(Tracee& tracee);
  void handle(Tracee& tracee);
  void on_event_stop(Tracee& tracee);
  void let_go_of_fork(const Tracee& parent);
  void on_child(Tracee& child);
  void on_exec(Tracee& tracee);
  void on_signal(Tracee& tracee, int signal);
  bool shares_memory(pid_t process);
  bool all_out();
  Status leave();

  const std::unique_ptr<Armer> armer_;
  const std::unique_ptr<Stepper> stepper_;
  Tracees tracees_;
  TracedMemory memory_;
  InjectedCalls calls_;
  TracedSlots slots_;
  TracedCode code_;
  TracedSites sites_;
  ArmedSites armed_;
  EntryStop entry_;
  TrapStops traps_;
  int execs_ = 0;
  bool at_entry_ = false; // the new program waits there for serve()
  std::function<void(pid_t)> new_thread_;
};

} // namespace proberace
