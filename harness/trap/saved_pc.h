// Finds the places at which a sleeping thread will continue: its PC, and the PCs in the signal frames on its
// stack.
#pragma once

#include "harness/base/address.h"

#include <functional>
#include <sys/types.h>

namespace proberace {

enum class Whereabouts {
  Elsewhere, // asleep, and no saved PC lies in the code asked about
  Inside,    // asleep, and one does
  Running,   // not asleep: its registers cannot be read from outside
};

// Where a thread of this process stands with regard to the code that `ours` knows (proc(5), syscall). A PC
// lies in its stack only if a signal interrupted it there. Frames of our own SIGTRAP handler are passed over:
// their PC is where the thread was sent, and they stay on the stack long after the thread has continued.
Whereabouts whereabouts(pid_t thread, const std::function<bool(Address)>& ours);

} // namespace proberace
