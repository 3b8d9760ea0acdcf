// Departure: no thread is still on its way from a trap to the handler. At close a prober waits for it
// twice: before the SIGTRAP action goes away, for hits; and after that, before the hit path's memory goes, for traps of
// the program's own, which came to the handler until then (H92).
//
// Idea: a thread that executed an int3 before the last one was removed is in the kernel's exception entry, or
// has SIGTRAP pending, until its handler runs. It does not sleep there. So a thread has left in two cases. It
// sleeps without a pending SIGTRAP, and no PC at which it will continue lies in our code (saved_pc.h: a
// signal may have interrupted it in a slot; by iretq, in the handler; in jump's slow way). Or it has been on a CPU since for longer than that path and the
// scheduler's accounting tick take together. Limit: a thread is missed that never sleeps and runs for longer
// than that in a signal handler that interrupted a slot.
#pragma once

#include "harness/base/error.h"
#include "harness/trap/quiescence.h"
#include "harness/trap/saved_pc.h"

namespace proberace {

// Precondition: no probe's byte is left in memory, cores are serialised, sites are dead. Traps of the program's own may
// come. Returns when every
// thread of the process but the caller has left traps, passages and the code that `ours` knows (slots).
// NotQuiescent names a thread that did not leave in time.
Status wait_for_departure(const ThreadRecords& records, const OurCode& ours,
                          std::chrono::milliseconds timeout = kGraceTimeout);

} // namespace proberace
