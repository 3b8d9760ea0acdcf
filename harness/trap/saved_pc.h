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

// Code of ours that a thread has to leave.
struct OurCode {
  std::function<bool(Address)> holds; // a PC
  // A call of other code that comes back here is inside, too, wherever it is: its return address lies in the stack. Our
  // code takes the word away when it comes back. Where a signal's handler leaves the call by siglongjmp, the word stays
  // until something is written over it, and the thread may be taken to be inside. None: 0.
  Address called_from{};
};

// Where a thread of this process stands with regard to that code (proc(5), syscall). A PC
// lies in its stack only if a signal interrupted it there. Frames of our own SIGTRAP handler are passed over:
// their PC is where the thread was sent, and they stay on the stack long after the thread has continued.
Whereabouts whereabouts(pid_t thread, const OurCode& ours);

} // namespace proberace
