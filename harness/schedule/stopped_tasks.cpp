// Tasks in ptrace stops. A thread that traps holds the turn and cannot give it away. Its supervisor, another
// process, could, but must not choose: the chooser belongs to the traced process. So the supervisor announces
// which thread has stopped, and a thread of the traced process (the relay) chooses in its name. When a
// stopped task is chosen, the relay tells the supervisor, which then handles the stop and lets the thread
// run.
#include "harness/base/raw_syscall.h"
#include "harness/schedule/control.h"
#include "harness/schedule/turns.h"

#include <linux/futex.h>
#include <sys/syscall.h>

namespace proberace::schedule {

namespace {

using Task = State::Task;

void announce(State& state) noexcept {
  state.relay.news.fetch_add(1, std::memory_order_release); // pairs with await_grant
  raw_syscall(SYS_futex, &state.relay.news, FUTEX_WAKE, 1);
}

// Takes the turn of a stopped task that was chosen, and grants it. False if there is none.
bool take_turn_of_stopped(State& state) noexcept {
  for (std::size_t i = 0; i < state.task_count; ++i) {
    Task& task = state.tasks[i];
    if (!task.stopped.load(std::memory_order_relaxed) || // ordered by the news
        task.turn.exchange(0, std::memory_order_acquire) == 0)
      continue;
    task.stopped.store(false, std::memory_order_relaxed);
    task.granted.store(true, std::memory_order_release); // pairs with granted
    return true;
  }
  return false;
}

} // namespace

bool detail::stopped(int thread, const char* step) noexcept {
  State* const state = the_state();
  if (state == nullptr || !state->runs.load(std::memory_order_acquire) ||
      !state->relay.open.load(std::memory_order_acquire))
    return false;
  Task* const task = task_of(*state, thread);
  if (task == nullptr)
    return false;
  task->at = step;
  task->stopped.store(true, std::memory_order_relaxed); // ordered by the news
  state->relay.stopped.store(static_cast<std::uint32_t>(task - state->tasks) + 1,
                             std::memory_order_release); // pairs with await_grant
  announce(*state);
  return true;
}

bool detail::granted(int thread) noexcept {
  State* const state = the_state();
  Task* const task = state != nullptr ? task_of(*state, thread) : nullptr;
  return task == nullptr || task->granted.exchange(false, std::memory_order_acquire); // pairs with the relay
}

// Its turn may come now as any other's, once it stands at a point.
void detail::withdrawn(int thread) noexcept {
  State* const state = the_state();
  if (Task* const task = state != nullptr ? task_of(*state, thread) : nullptr)
    if (task->stopped.exchange(false,
                               std::memory_order_acq_rel))      // pairs with wake; else its turn was granted
      task->out_of_turn.store(true, std::memory_order_release); // pairs with await_own_turn
}

void detail::open_relay() noexcept {
  if (State* const state = the_state())
    state->relay.open.store(true, std::memory_order_release);
}

void detail::close_relay() noexcept {
  if (State* const state = the_state()) {
    state->relay.open.store(false, std::memory_order_release);
    announce(*state);
  }
}

bool detail::await_grant() noexcept {
  State* const state = the_state();
  while (state != nullptr && state->relay.open.load(std::memory_order_acquire)) {
    const std::uint32_t seen = state->relay.news.load(std::memory_order_acquire); // pairs with announce
    if (const std::uint32_t who = state->relay.stopped.exchange(0, std::memory_order_acquire); who != 0)
      choose_for(*state, state->tasks[who - 1], state->tasks[who - 1].at);
    if (take_turn_of_stopped(*state))
      return true;
    raw_syscall(SYS_futex, &state->relay.news, FUTEX_WAIT, seen, nullptr);
  }
  return false;
}

} // namespace proberace::schedule
