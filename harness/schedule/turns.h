// Shared by the scheduler's parts: which thread is which task, and which has the turn. Private to schedule/.
#pragma once

#include "harness/schedule/state.h"

namespace proberace::schedule {

// The state of the scheduler there is; null if there is none.
State* the_state() noexcept;
// Null if this thread is no task's.
State::Task* task_of(State& state, pid_t thread) noexcept;
// Acts for a task that holds the turn but cannot choose, and stands at `step`: chooses the next task and
// wakes it.
void choose_for(State& state, State::Task& stopped, const char* step) noexcept;

} // namespace proberace::schedule
