// Runs a program of threads one at a time. The thread that reaches a point chooses who goes on, wakes it and
// sleeps until it is chosen itself; so handing over costs one futex wake and one wait.
//
// Threads are kept from one schedule to the next. The conductor (task 0) begins each and is back when all
// tasks idle. A thread that waits has every signal blocked: what is sent to it meanwhile arrives when it goes
// on, at the point where it stood, whichever way the machine runs it. A schedule that cannot proceed ends the
// process with kStuckStatus, and its outcome and trace stay in State.
#pragma once

#include "harness/schedule/chooser.h"
#include "harness/schedule/state.h"

namespace proberace::schedule {

inline constexpr int kStuckStatus = 77;

class Scheduler {
public:
  // One at a time in a process. `state` outlives it; called on the conductor's thread.
  explicit Scheduler(State& state);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // By the conductor. Precondition: every thread of tasks 1 to tasks - 1 is inside idle(), or on its way
  // there. Returns at the conductor's first turn.
  void begin(std::size_t tasks, Chooser& chooser) noexcept;
  // By the conductor, at the end of its part. Returns when all tasks idle. What it runs from then to begin()
  // is not controlled.
  void finish() noexcept;

  // On the thread of another task: idles until its first turn in a new schedule. False once stop() was
  // called.
  bool idle(std::size_t task) noexcept;
  // By the conductor, between schedules.
  void stop() noexcept;

  // By the program: a step of its own.
  void step(const char* name, Address site = {}) noexcept;
  // By the program: a signal was sent to this thread, which may take it where it idles.
  void signal_sent(pid_t thread) noexcept;
  // Of the schedule that runs, or ran last.
  std::uint32_t steps() const noexcept;
  // How long the longest schedule was so far.
  std::size_t longest() const noexcept { return longest_; }

private:
  State& state_;
  std::size_t longest_ = 0;
};

// Whether this program's strategies and transports were compiled with their points.
bool points_compiled_in() noexcept;

} // namespace proberace::schedule
