// The threads of a traced process: seizing, stopping, waiting (ptrace(2); kernel/ptrace.c).
//
// Threads are seized (PTRACE_SEIZE), which does not stop them, and the threads and processes that they create
// are traced from their first instruction on (PTRACE_O_TRACECLONE and its kin). A stop is first noted, and
// later handled by the owner of the threads. So all of them can be stopped, some in the middle of an event,
// before any event is handled.
#pragma once

#include "harness/base/error.h"
#include "harness/ptrace/tracee.h"

#include <chrono>
#include <deque>
#include <memory>
#include <unordered_map>

namespace proberace {

class Tracees {
public:
  static constexpr std::chrono::seconds kStopTimeout{5};
  // Of every traced thread.
  static const long kOptions;

  Tracees() = default;
  Tracees(const Tracees&) = delete;
  Tracees& operator=(const Tracees&) = delete;
  ~Tracees();

  // Blocks SIGCHLD in this process, and seizes every thread of `process`; no thread is stopped. NoPermission
  // says what forbids it.
  Status seize_all(pid_t process);

  // Becomes readable when there may be a stop to note.
  int descriptor() const noexcept { return signals_; }
  // Notes every stop that wait4 reports, without waiting.
  void note_all();
  // Waits for a stop to note, at most until the deadline.
  void wait_until(std::chrono::steady_clock::time_point deadline);

  // The thread whose stop came first among those not handled yet; null if there is none.
  Tracee* next();
  Tracee* find(pid_t thread) noexcept;
  std::vector<Tracee*> all();

  // Lets a stopped thread continue, by one instruction if a step is under way; `signal` is delivered to it.
  void resume(Tracee& tracee, int signal = 0) noexcept;
  // Leaves a thread in its group stop, so that SIGCONT wakes it as usual.
  void listen(Tracee& tracee) noexcept;
  void interrupt(Tracee& tracee) noexcept;
  void detach(Tracee& tracee, int signal) noexcept;
  void forget(pid_t thread) noexcept;

  // On return every thread is stopped, or cannot run the program's code until its tracer lets it.
  // ThreadWouldNotStop.
  Status stop_all();
  // Waits for a thread's next stop. False if it has ended, or has not come after kStopTimeout.
  bool await_stop(pid_t thread);

  pid_t process() const noexcept { return process_; }
  // True if a thread of the process itself is left; children that share its memory do not count.
  bool process_lives() const noexcept;
  // One that has not ended, through which /proc shows the process: its first thread may have ended before others.
  // The process if there is none.
  pid_t live_thread() const noexcept;
  bool in_group_stop() const noexcept;
  // wait4's status of the process, once it has ended.
  std::optional<int> exit_status() const noexcept { return exit_status_; }

private:
  Status seize(pid_t thread, bool& fresh);
  void note(pid_t thread, int status);
  void expect_child(pid_t creator, int status);

  pid_t process_ = 0;
  int signals_ = -1;
  std::unordered_map<pid_t, std::unique_ptr<Tracee>> tracees_;
  std::deque<pid_t> queue_;
  std::optional<int> exit_status_;
};

} // namespace proberace
