// Knowing that no thread is still on its way from a trap to the handler: needed once, at close, before the
// SIGTRAP action and the hit path's memory go away.
//
// A thread that executed int3 before the last one was removed is, until its handler runs, in the kernel's
// exception entry or has SIGTRAP pending. It does not sleep there. So a thread has left if it is asleep
// without a pending SIGTRAP and no PC it will go on at lies in our code (saved_pc.h: a signal may have
// interrupted it in a slot), or has been on a CPU for longer since than that path and the scheduler's
// accounting tick take together. Not seen: a thread that never sleeps, in a signal handler that interrupted a
// slot and runs for longer than that.
#pragma once

#include "harness/base/error.h"
#include "harness/trap/quiescence.h"

#include <functional>

namespace proberace {

// Precondition: no probe's byte is in memory any more, cores are serialised, sites are dead. Returns when
// every thread of the process but the caller has left traps, passages and the code that `ours` knows (slots).
// NotQuiescent names one that has not in that time.
Status wait_for_departure(const ThreadRecords& records, const std::function<bool(Address)>& ours,
                          std::chrono::milliseconds timeout = kGraceTimeout);

} // namespace proberace
