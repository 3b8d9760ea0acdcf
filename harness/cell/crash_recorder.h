// In a cell's child: notes in the arena what a fatal signal saw, then lets the process die of it.
#pragma once

#include "harness/cell/arena.h"

namespace proberace {

// Takes SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS and SIGTRAP. A prober opened later takes SIGTRAP
// over and passes on what is not its own. A forced kill (SIGTRAP while blocked) leaves no note.
void install_crash_recorder(Arena& arena);

} // namespace proberace
