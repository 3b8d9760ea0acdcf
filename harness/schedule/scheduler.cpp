#include "harness/schedule/scheduler.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/signal_action.h"
#include "harness/base/threads.h"
#include "harness/schedule/control.h"
#include "harness/schedule/turns.h"

#include <csignal>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace::schedule {

namespace {

using Task = State::Task;
using Doing = Task::Doing;

constexpr const char* kJoin = "join"; // where a task waits for the end of one that it started

State* state_of_all = nullptr;
Chooser* the_chooser = nullptr; // of the schedule that runs; null between schedules
bool recording = false;         // steps are noted
bool stopping = false;
std::uint64_t begun = 0; // schedules
// The thread of a task that has ended. The kernel still lists an exited thread briefly. An armer that stops
// all threads would then wait for a thread that is never scheduled, so no task runs until it is gone.
pid_t leaving = 0;
// Initial-exec: reached from signal handlers.
[[gnu::tls_model("initial-exec")]] constinit thread_local Task* t_task = nullptr;

std::size_t index_of(const Task& task) noexcept {
  return static_cast<std::size_t>(&task - state_of_all->tasks);
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
    if (const Doing doing = state.tasks[i].doing; doing != Doing::Idle && doing != Doing::Nothing)
      return false;
  return true;
}

[[noreturn]] void end_stuck(State& state, Outcome outcome) noexcept {
  state.outcome.store(outcome, std::memory_order_release); // read after the process has ended
  for (;;)
    raw_syscall(SYS_exit_group, kStuckStatus);
}

void wake(State& state, Task& task) noexcept {
  task.turn.store(1, std::memory_order_release);              // pairs with sleep_until_turn, and await_grant
  if (task.stopped.load(std::memory_order_relaxed)) {         // set before this thread had the turn
    state.relay.news.fetch_add(1, std::memory_order_release); // pairs with await_grant
    raw_syscall(SYS_futex, &state.relay.news, FUTEX_WAKE, 1);
  }
  raw_syscall(SYS_futex, &task.turn, FUTEX_WAKE_PRIVATE, 1); // also one that was stopped just before
}

void sleep_until_turn(Task& me) noexcept {
  while (me.turn.load(std::memory_order_acquire) == 0) // pairs with wake
    raw_syscall(SYS_futex, &me.turn, FUTEX_WAIT_PRIVATE, 0, nullptr);
  me.turn.store(0, std::memory_order_relaxed); // nobody chooses it before it has given its turn away
  if (leaving == 0) // also when stop() wakes all of them at once: nothing is written then
    return;
  while (thread_alive(leaving))
    raw_syscall(SYS_sched_yield);
  leaving = 0;
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
  wake(state, next);
  sleep_until_turn(me);
}

// Chooses the task that takes the next step, and notes the step. Precondition: some task can run.
Task& choose(State& state, const Task& me, TaskSet enabled) noexcept {
  if (!recording)
    return state.tasks[the_chooser->choose(0, index_of(me), enabled)];
  const std::uint32_t step = state.trace.length.load(std::memory_order_relaxed); // one task runs at a time
  if (step == kMaxSteps)
    end_stuck(state, Outcome::TooLong);
  const auto before = step == 0 ? kNobody : static_cast<std::uint8_t>(index_of(me));
  Task& next = state.tasks[the_chooser->choose(step, before, enabled)];
  state.trace.steps[step] = {next.at, next.site, static_cast<std::uint8_t>(index_of(next)), before, enabled};
  state.trace.length.store(step + 1, std::memory_order_release); // pairs with taken
  return next;
}

// Chooses the task that takes the next step, and returns when it is this task's turn again.
void choose_and_go_on(State& state, Task& me) noexcept {
  const TaskSet enabled = enabled_tasks(state);
  if (enabled != 0)
    return give_turn_to(state, me, choose(state, me, enabled));
  if (!all_idle(state))
    end_stuck(state, Outcome::Deadlock);
  state.outcome.store(Outcome::Done, std::memory_order_release); // pairs with finish
  give_turn_to(state, me, state.tasks[0]);
}

void stand_at(State& state, Task& me, const char* name, Address site, Doing doing) noexcept {
  const bool again = doing == Doing::Waiting && me.doing == Doing::Waiting && me.at == name;
  if (!again)
    ++state.progress;
  me.doing = doing;
  me.at = name;
  me.site = site;
  me.progress_seen = state.progress;
}

// A supervisor may have handled this task's stop while it was another's turn. True if the turn had to be waited for:
// others have run meanwhile.
bool await_own_turn(Task& me) noexcept {
  if (!me.out_of_turn.exchange(false, std::memory_order_acquire)) // pairs with withdrawn
    return false;
  const SignalsHeld held;
  sleep_until_turn(me);
  return true;
}

void reach(Task& me, const char* name, Address site, Doing doing) noexcept {
  (void)await_own_turn(me);
  stand_at(*state_of_all, me, name, site, doing);
  choose_and_go_on(*state_of_all, me);
}

// Called first on a thread: it is the task from now on, and sleeps until its first turn.
void arrive(Task& me, Doing doing, const char* at) noexcept {
  t_task = &me;
  me.doing = doing;
  me.at = at;
  me.site = {};
  const SignalsHeld held;                                       // before anybody knows of it
  me.thread.store(current_thread(), std::memory_order_release); // pairs with gather and await
  sleep_until_turn(me);
}

// The task of this thread, if a schedule runs.
Task* mine() noexcept {
  return the_chooser != nullptr ? t_task : nullptr;
}

} // namespace

State* the_state() noexcept {
  return state_of_all;
}

Task* task_of(State& state, pid_t thread) noexcept {
  for (std::size_t i = 0; thread != 0 && i < state.task_count; ++i)
    if (state.tasks[i].thread.load(std::memory_order_relaxed) == thread) // set before it had a turn
      return &state.tasks[i];
  return nullptr;
}

void choose_for(State& state, Task& stopped, const char* step) noexcept {
  stand_at(state, stopped, step, {}, Doing::Ready);
  Task& next = choose(state, stopped, enabled_tasks(state));
  state.running = index_of(next);
  wake(state, next);
}

void detail::leave() noexcept {
  the_chooser = nullptr;
  t_task = nullptr;
}

void detail::pass(const char* step, Address site) noexcept {
  if (Task* const me = mine())
    reach(*me, step, site, Doing::Ready);
}

bool detail::wait(const char* step, Address site) noexcept {
  Task* const me = mine();
  if (me != nullptr && !await_own_turn(*me)) // else the caller looks again
    reach(*me, step, site, Doing::Waiting);
  return me != nullptr;
}

void detail::signalled(int thread) noexcept {
  if (mine() == nullptr)
    return;
  if (Task* const task = task_of(*state_of_all, thread))
    task->signal_sent.store(true, std::memory_order_relaxed); // one task runs at a time
}

bool detail::holds_back(int thread) noexcept {
  if (the_chooser == nullptr)
    return false;
  const Task* const task = task_of(*state_of_all, thread);
  return task != nullptr && task->doing != Doing::Idle;
}

Scheduler::Scheduler(State& state) : state_(state) {
  state_of_all = &state;
  stopping = false;
  t_task = &state.tasks[0];
  t_task->thread.store(current_thread(), std::memory_order_release); // pairs with begin
}

Scheduler::~Scheduler() {
  t_task = nullptr;
  state_of_all = nullptr;
}

void Scheduler::gather(std::size_t tasks, std::size_t most) noexcept {
  for (std::size_t i = 1; i < tasks; ++i)
    await(i);
  state_.tasks[0].doing = Doing::Ready;
  state_.kept = tasks;
  state_.task_count = most;
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
  for (std::size_t i = 0; i < state_.kept; ++i) {
    Task& task = state_.tasks[i];
    task.doing = Doing::Ready;
    task.at = "begin";
    task.site = {};
    task.signal_sent.store(false, std::memory_order_relaxed);
  }
  ++begun;
  recording = true;
  the_chooser = &chooser;
  state_.runs.store(true, std::memory_order_release); // pairs with detail::stopped
  choose_and_go_on(state_, state_.tasks[0]);
}

void Scheduler::finish() noexcept {
  Task& me = state_.tasks[0];
  while (state_.outcome.load(std::memory_order_acquire) != Outcome::Done) { // pairs with choose_and_go_on
    me.signal_sent.store(false, std::memory_order_relaxed);                 // taken when the turn came
    reach(me, "end", {}, Doing::Idle);
  }
  state_.runs.store(false, std::memory_order_relaxed); // all idle
  the_chooser = nullptr;
  me.doing = Doing::Ready; // it continues by itself
}

bool Scheduler::idle(std::size_t task) noexcept {
  Task& me = state_.tasks[task];
  const std::uint64_t ended = begun; // the schedule whose part of this task has ended
  if (t_task == nullptr) {           // its first call
    arrive(me, Doing::Idle, "idle");
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

void Scheduler::come(std::size_t task) noexcept {
  arrive(state_.tasks[task], Doing::Ready, "begin");
}

void Scheduler::await(std::size_t task) const noexcept {
  while (state_.tasks[task].thread.load(std::memory_order_acquire) == 0) // pairs with arrive
    raw_syscall(SYS_sched_yield);
}

void Scheduler::wait_until_gone(std::size_t task) noexcept {
  while (state_.tasks[task].doing != Doing::Nothing) // one task runs at a time
    detail::wait(kJoin, {});
}

void Scheduler::go(std::size_t starter) noexcept {
  Task& me = *t_task;
  (void)await_own_turn(me);
  t_task = nullptr;
  me.doing = Doing::Nothing;
  me.signal_sent.store(false, std::memory_order_relaxed);     // one task runs at a time
  leaving = me.thread.exchange(0, std::memory_order_relaxed); // nobody is awaited under this number any more
  ++state_.progress;
  Task& joins = state_.tasks[starter];
  Task& next =
      joins.at == kJoin ? joins : choose(state_, me, enabled_tasks(state_)); // else it can still do otherwise
  state_.running = index_of(next);
  wake(state_, next);
}

void Scheduler::stop() noexcept {
  stopping = true;
  leaving = 0; // before more than one thread runs
  for (std::size_t i = 1; i < state_.kept; ++i)
    wake(state_, state_.tasks[i]);
}

void Scheduler::step(const char* name, Address site) noexcept {
  detail::pass(name, site);
}

void Scheduler::signal_sent(pid_t thread) noexcept {
  detail::signalled(thread);
}

void Scheduler::leave_child_alone() noexcept {
  detail::leave();
}

std::uint32_t Scheduler::steps() const noexcept {
  return state_.trace.length.load(std::memory_order_acquire); // pairs with choose_and_go_on
}

} // namespace proberace::schedule
