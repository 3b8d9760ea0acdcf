// The threads of a traced process: seizing, stopping, waiting.
//
// Threads are seized (PTRACE_SEIZE), which does not stop them, and what they create is traced from its first
// instruction on (PTRACE_O_TRACECLONE and its kin). A stop is first noted, then handled by whoever owns the
// threads: so all of them can be stopped, some mid-event, before any event is acted on. ptrace(2);
// kernel/ptrace.c.
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

  Tracees() = default;
  Tracees(const Tracees&) = delete;
  Tracees& operator=(const Tracees&) = delete;
  ~Tracees();

  // Blocks SIGCHLD in this process, and seizes every thread of `process`; none is stopped. NoPermission, with
  // what forbids it.
  Status seize_all(pid_t process);

  // Becomes readable when there may be something to note.
  int descriptor() const noexcept { return signals_; }
  // Notes what wait4 has, without waiting.
  void note_all();
  // Waits for something to note, at most until the deadline.
  void wait_until(std::chrono::steady_clock::time_point deadline);

  // A stop that nobody has handled yet, in the order they came; null if there is none.
  Tracee* next();
  Tracee* find(pid_t thread) noexcept;
  std::vector<Tracee*> all();

  // Lets a stopped thread go on, by one instruction if a step is under way; `signal` is delivered to it.
  void resume(Tracee& tracee, int signal = 0) noexcept;
  // Leaves a thread in its group stop, so that SIGCONT wakes it as ever.
  void listen(Tracee& tracee) noexcept;
  void interrupt(Tracee& tracee) noexcept;
  void detach(Tracee& tracee, int signal) noexcept;
  void forget(pid_t thread) noexcept;

  // On return every thread is stopped, or cannot run the program's code until its tracer lets it.
  // ThreadWouldNotStop.
  Status stop_all();
  // Waits for a thread's next stop, or its end (false).
  bool await_stop(pid_t thread);

  pid_t process() const noexcept { return process_; }
  // Whether a thread of the process itself is left; children that share its memory do not count.
  bool process_lives() const noexcept;
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
