// One traced thread, as its tracer knows it.
#pragma once

#include "harness/ptrace/traced_sites.h"

#include <csignal>
#include <optional>
#include <sys/types.h>

namespace proberace {

struct Tracee {
  Tracee(pid_t a_thread, pid_t its_process) : thread(a_thread), process(its_process) {}

  pid_t thread;
  pid_t process;
  bool stopped = false;
  bool listening = false;          // in a group stop, until SIGCONT
  bool interrupted = false;        // asked to stop, and not stopped since
  bool queued = false;             // its stop waits to be handled
  bool waits_for_its_turn = false; // in a controlled run: its stop is handled when its turn comes
  bool leaving = false;            // past its exit event: runs no more code of the program
  // It waits in the kernel for a child that shares its memory: it cannot be stopped, and need not be.
  bool in_vfork = false;
  bool introduced = false; // its first stop, if it was born traced, has been handled
  int status = 0;          // of its stop, as wait4 gave it

  // The step under way.
  const TracedSite* stepping = nullptr;
  bool out_of_line = false;    // by TracedSite::out_of_line
  std::uint64_t held_mask = 0; // the thread's own signal mask
  bool steps_itself = false;   // the program's own trap flag
  // A signal that no mask may hold back and that somebody sent meanwhile.
  std::optional<siginfo_t> held_signal;
};

} // namespace proberace
