#include "harness/schedule/scheduler.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/signal_action.h"
#include "harness/base/threads.h"
#include "harness/schedule/control.h"

#include <algorithm>
#include <csignal>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace::schedule {

namespace {

using Task = State::Task;
using Doing = Task::Doing;

State* the_state = nullptr;
Chooser* the_chooser = nullptr; // of the schedule that runs; null between schedules
bool recording = false;         // steps are noted
bool stopping = false;
std::uint64_t begun = 0; // schedules
// Initial-exec: reached from signal handlers.
[[gnu::tls_model("initial-exec")]] constinit thread_local Task* t_task = nullptr;

std::size_t index_of(const Task& task) noexcept {
  return static_cast<std::size_t>(&task - the_state->tasks);
}

bool can_run(const State& state, const Task& task) noexcept {
  switch (task.doing) {
  case Doing::Ready: return true;
  case Doing::Waiting: return task.progress_seen != state.progress;
  case Doing::Idle: return task.signal_sent.load(std::memory_order_relaxed); // one task runs at a time
  case Doing::Nothing: return false;
  }
  return false;
}

TaskSet enabled_tasks(const State& state) noexcept {
  TaskSet enabled = 0;
  for (std::size_t i = 0; i < state.task_count; ++i)
    if (can_run(state, state.tasks[i]))
      enabled = static_cast<TaskSet>(enabled | only(i));
  return enabled;
}

bool all_idle(const State& state) noexcept {
  for (std::size_t i = 0; i < state.task_count; ++i)
    if (state.tasks[i].doing != Doing::Idle)
      return false;
  return true;
}

[[noreturn]] void end_stuck(State& state, Outcome outcome) noexcept {
  state.outcome.store(outcome, std::memory_order_release); // read after the process has ended
  for (;;)
    raw_syscall(SYS_exit_group, kStuckStatus);
}

void wake(Task& task) noexcept {
  task.turn.store(1, std::memory_order_release); // pairs with sleep_until_turn
  raw_syscall(SYS_futex, &task.turn, FUTEX_WAKE_PRIVATE, 1);
}

void sleep_until_turn(Task& me) noexcept {
  while (me.turn.load(std::memory_order_acquire) == 0) // pairs with wake
    raw_syscall(SYS_futex, &me.turn, FUTEX_WAIT_PRIVATE, 0, nullptr);
  me.turn.store(0, std::memory_order_relaxed); // nobody wakes it before it has given its turn away
}

class SignalsHeld {
public:
  SignalsHeld() noexcept {
    const std::uint64_t all = kAllSignals;
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof all);
  }
  ~SignalsHeld() { raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

private:
  std::uint64_t before_ = 0;
};

void give_turn_to(State& state, Task& me, Task& next) noexcept {
  if (&next == &me)
    return;
  const SignalsHeld held; // before anybody else runs
  state.running = index_of(next);
  wake(next);
  sleep_until_turn(me);
}

// Chooses who takes the next step, notes it, and returns when it is this task's turn again.
void choose_and_go_on(State& state, Task& me) noexcept {
  const TaskSet enabled = enabled_tasks(state);
  if (enabled == 0) {
    if (!all_idle(state))
      end_stuck(state, Outcome::Deadlock);
    state.outcome.store(Outcome::Done, std::memory_order_release); // pairs with finish
    give_turn_to(state, me, state.tasks[0]);
    return;
  }
  if (!recording) {
    give_turn_to(state, me, state.tasks[the_chooser->choose(0, index_of(me), enabled)]);
    return;
  }
  const std::uint32_t step = state.trace.length.load(std::memory_order_relaxed); // one task runs at a time
  if (step == kMaxSteps)
    end_stuck(state, Outcome::TooLong);
  const auto before = step == 0 ? kNobody : static_cast<std::uint8_t>(index_of(me));
  Task& next = state.tasks[the_chooser->choose(step, before, enabled)];
  state.trace.steps[step] = {next.at, next.site, static_cast<std::uint8_t>(index_of(next)), before, enabled};
  state.trace.length.store(step + 1, std::memory_order_release); // pairs with taken
  give_turn_to(state, me, next);
}

void reach(Task& me, const char* name, Address site, Doing doing) noexcept {
  State& state = *the_state;
  const bool again = doing == Doing::Waiting && me.doing == Doing::Waiting && me.at == name;
  if (!again)
    ++state.progress;
  me.doing = doing;
  me.at = name;
  me.site = site;
  me.progress_seen = state.progress;
  choose_and_go_on(state, me);
}

// The task of this thread, if a schedule runs.
Task* mine() noexcept {
  return the_chooser != nullptr ? t_task : nullptr;
}

} // namespace

void detail::pass(const char* step, Address site) noexcept {
  if (Task* const me = mine())
    reach(*me, step, site, Doing::Ready);
}

bool detail::wait(const char* step, Address site) noexcept {
  Task* const me = mine();
  if (me != nullptr)
    reach(*me, step, site, Doing::Waiting);
  return me != nullptr;
}

void detail::signalled(int thread) noexcept {
  if (mine() == nullptr)
    return;
  for (std::size_t i = 0; i < the_state->task_count; ++i)
    if (the_state->tasks[i].thread.load(std::memory_order_relaxed) == thread) // set before the schedule
      the_state->tasks[i].signal_sent.store(true, std::memory_order_relaxed); // one task runs at a time
}

bool detail::holds_back(int thread) noexcept {
  if (the_chooser == nullptr)
    return false;
  for (std::size_t i = 0; i < the_state->task_count; ++i)
    if (the_state->tasks[i].thread.load(std::memory_order_relaxed) == thread) // set before the schedule
      return the_state->tasks[i].doing != Doing::Idle;
  return false;
}

Scheduler::Scheduler(State& state) : state_(state) {
  the_state = &state;
  stopping = false;
  t_task = &state.tasks[0];
  t_task->thread.store(current_thread(), std::memory_order_release); // pairs with begin
}

Scheduler::~Scheduler() {
  t_task = nullptr;
  the_state = nullptr;
}

void Scheduler::gather(std::size_t tasks) noexcept {
  for (std::size_t i = 1; i < tasks; ++i)
    while (state_.tasks[i].thread.load(std::memory_order_acquire) == 0) // pairs with idle
      raw_syscall(SYS_sched_yield);
  state_.tasks[0].doing = Doing::Ready;
  state_.task_count = tasks;
}

Scheduler::Aside::Aside(Scheduler& scheduler) noexcept {
  recording = false;
  the_chooser = &scheduler.by_default_;
}

Scheduler::Aside::~Aside() {
  the_chooser = nullptr;
}

void Scheduler::begin(Chooser& chooser) noexcept {
  state_.trace.length.store(0, std::memory_order_relaxed); // no schedule runs
  state_.outcome.store(Outcome::None, std::memory_order_relaxed);
  for (std::size_t i = 0; i < state_.task_count; ++i) {
    Task& task = state_.tasks[i];
    task.doing = Doing::Ready;
    task.at = "begin";
    task.site = {};
    task.signal_sent.store(false, std::memory_order_relaxed);
  }
  ++begun;
  recording = true;
  the_chooser = &chooser;
  choose_and_go_on(state_, state_.tasks[0]);
}

void Scheduler::finish() noexcept {
  Task& me = state_.tasks[0];
  while (state_.outcome.load(std::memory_order_acquire) != Outcome::Done) { // pairs with choose_and_go_on
    me.signal_sent.store(false, std::memory_order_relaxed);                 // taken when the turn came
    reach(me, "end", {}, Doing::Idle);
  }
  the_chooser = nullptr;
  me.doing = Doing::Ready; // it goes on by itself
  longest_ = std::max<std::size_t>(longest_, steps());
}

bool Scheduler::idle(std::size_t task) noexcept {
  Task& me = state_.tasks[task];
  const std::uint64_t ended = begun; // the schedule whose part of this task has ended
  if (t_task == nullptr) {           // its first call
    t_task = &me;
    me.doing = Doing::Idle;
    me.at = "idle";
    const SignalsHeld held;
    me.thread.store(current_thread(), std::memory_order_release); // pairs with gather
    sleep_until_turn(me);
  } else {
    me.signal_sent.store(false, std::memory_order_relaxed); // one task runs at a time
    reach(me, "end", {}, Doing::Idle);
  }
  while (begun == ended && !stopping) { // chosen to take a signal, which it has
    me.signal_sent.store(false, std::memory_order_relaxed);
    reach(me, "end", {}, Doing::Idle);
  }
  return !stopping;
}

void Scheduler::stop() noexcept {
  stopping = true;
  for (std::size_t i = 1; i < kMaxTasks; ++i)
    wake(state_.tasks[i]);
}

void Scheduler::step(const char* name, Address site) noexcept {
  detail::pass(name, site);
}

void Scheduler::signal_sent(pid_t thread) noexcept {
  detail::signalled(thread);
}

void Scheduler::leave_child_alone() noexcept {
  the_chooser = nullptr;
  t_task = nullptr;
}

std::uint32_t Scheduler::steps() const noexcept {
  return state_.trace.length.load(std::memory_order_acquire); // pairs with choose_and_go_on
}

} // namespace proberace::schedule
