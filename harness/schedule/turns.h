// What the scheduler's parts share: who is a task, who has the turn. Private to schedule/.
#pragma once

#include "harness/schedule/state.h"

namespace proberace::schedule {

// Of the scheduler there is; null if there is none.
State* the_state() noexcept;
// Null if this thread is no task's.
State::Task* task_of(State& state, pid_t thread) noexcept;
// On behalf of a task that holds the turn but cannot choose: it stands at `step`. Chooses who goes on, and
// lets it.
void choose_for(State& state, State::Task& stopped, const char* step) noexcept;

} // namespace proberace::schedule
