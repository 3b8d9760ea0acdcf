// Runs a program of threads one at a time. The thread that reaches a point chooses who goes on, wakes it and
// sleeps until it is chosen itself; so handing over costs one futex wake and one wait.
//
// Threads are kept from one schedule to the next; a thread that a task starts can be one until it ends. The
// conductor (the thread of task 0, in a program its thread 0) begins each and is back when all tasks idle. A
// thread that waits has every signal blocked: what is sent to it meanwhile arrives when it goes on, at the
// point where it stood, whichever way the machine runs it. A schedule that cannot proceed ends the process
// with kStuckStatus, and its outcome and trace stay in State.
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

  // By the conductor, first. Returns once every thread of tasks 1 to tasks - 1 idles. Numbers from there to
  // `most` - 1 are for threads that come and go.
  void gather(std::size_t tasks, std::size_t most) noexcept;
  // By the conductor. Returns at its first turn.
  void begin(Chooser& chooser) noexcept;
  // By the conductor, at the end of its part. Returns when all tasks idle.
  void finish() noexcept;

  // What the conductor does between schedules, while it has one of these: the others idle, and only take what
  // is sent to them. No step is noted.
  class Aside {
  public:
    explicit Aside(Scheduler& scheduler) noexcept;
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
  };

  // On the thread of another task: idles until its first turn in a new schedule. False once stop() was
  // called.
  bool idle(std::size_t task) noexcept;
  // By the conductor, between schedules.
  void stop() noexcept;

  // By the program: a step of its own.
  void step(const char* name, Address site = {}) noexcept;
  // By the program: a signal was sent to this thread, which may take it where it idles.
  void signal_sent(pid_t thread) noexcept;
  // On a thread that a task has started, first: it is this task from its first turn on, when this returns.
  void come(std::size_t task) noexcept;
  // By the task that has started it, next: until the other has come. Nobody else runs meanwhile.
  void await(std::size_t task) const noexcept;
  // By the task that has started it, to join it: returns when it has gone.
  void wait_until_gone(std::size_t task) noexcept;
  // On the thread that came, last: the task that waits for it goes on.
  void go(std::size_t starter) noexcept;
  // In a child forked by a task: it is not controlled, and touches nothing of the state.
  void leave_child_alone() noexcept;
  // Of the schedule that runs, or ran last.
  std::uint32_t steps() const noexcept;

private:
  State& state_;
  Following by_default_{{}};
};

// Whether this program's strategies and transports were compiled with their points.
bool points_compiled_in() noexcept;

} // namespace proberace::schedule
