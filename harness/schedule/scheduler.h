// Runs the threads of a program one at a time. The thread that reaches a point chooses the next one, wakes it
// and sleeps until it is chosen itself; so handing over costs one futex wake and one wait.
//
// Threads are kept from one schedule to the next; a thread that a task starts can itself be a task until it
// ends. The conductor (the thread of task 0) begins each schedule and returns when all tasks idle. A waiting
// thread has every signal blocked: a signal that is sent to it meanwhile arrives when it runs again, at the
// point where it stood, however the machine runs it. A schedule that cannot proceed ends the process with
// kStuckStatus; its outcome and trace stay in State.
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

  // Called first, by the conductor. Returns once every thread of tasks 1 to tasks - 1 idles. Numbers from
  // there to `most` - 1 are for threads that are started and end within a schedule.
  void gather(std::size_t tasks, std::size_t most) noexcept;
  // Called by the conductor. Returns at its first turn.
  void begin(Chooser& chooser) noexcept;
  // Called by the conductor at the end of its part. Returns when all tasks idle.
  void finish() noexcept;

  // While the conductor has one of these, between schedules, the other tasks idle and only take signals that
  // are sent to them. No step is noted.
  class Aside {
  public:
    explicit Aside(Scheduler& scheduler) noexcept;
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
  };

  // Called on the thread of another task: idles until its first turn in a new schedule. False once stop() was
  // called.
  bool idle(std::size_t task) noexcept;
  // Called by the conductor, between schedules.
  void stop() noexcept;

  // Called by the program: a step of its own.
  void step(const char* name, Address site = {}) noexcept;
  // Called by the program: a signal was sent to `thread`, which may take it while it idles.
  void signal_sent(pid_t thread) noexcept;
  // Called first on a thread that a task has started. Returns at its first turn; it is that task from then
  // on.
  void come(std::size_t task) noexcept;
  // Called next, by the task that started it: waits until the other thread has called come(). No other task
  // runs meanwhile.
  void await(std::size_t task) const noexcept;
  // Called by the task that started it, to join it: returns when it has ended.
  void wait_until_gone(std::size_t task) noexcept;
  // Called last on the thread that came: the task that waits for it can run again.
  void go(std::size_t starter) noexcept;
  // Called in a child forked by a task: it is not controlled, and touches nothing of the state.
  void leave_child_alone() noexcept;
  // The number of steps of the schedule that runs, or ran last.
  std::uint32_t steps() const noexcept;

private:
  State& state_;
  Following by_default_{{}};
};

// True if this program's strategies and transports were compiled with their points.
bool points_compiled_in() noexcept;

} // namespace proberace::schedule
