// Finding the places where a sleeping thread will go on: its PC, and the PCs that signal frames on its stack
// hold.
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

// Where a thread of this process stands with regard to code that `ours` knows. A PC lies in its stack only if
// a signal interrupted it there. Frames of our own SIGTRAP handler are passed over: their PC is where the
// thread was sent, and they stay on the stack when the thread has long gone on (proc(5), syscall).
Whereabouts whereabouts(pid_t thread, const std::function<bool(Address)>& ours);

} // namespace proberace
