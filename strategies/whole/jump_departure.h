// Knowing that no thread is still in a trampoline, on a springboard, or on its way from an int3 of ours:
// needed once, at close, before that memory goes away.
#pragma once

#include "harness/base/error.h"
#include "strategies/whole/jump_counters.h"

#include <functional>

namespace proberace {

// Precondition: no jump is in memory any more, cores are serialised. Returns when every thread but the caller
// has left. A thread that is asleep has, unless its PC or a signal frame on its stack lies in what `ours`
// names; another, once it has run on for longer than a trampoline takes. A thread that spins in a signal
// handler which interrupted a trampoline is not told from one that left. NotQuiescent names one that stays.
Status wait_for_jump_departure(const JumpCounters& counters, const std::function<bool(Address)>& ours);

} // namespace proberace
