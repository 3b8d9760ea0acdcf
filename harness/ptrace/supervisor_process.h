// A supervisor process for the process that starts it.
//
// It must trace its creator's threads, so it cannot be one of them; and it must not be a child for which the
// program could wait (H77). So a helper that shares the memory (clone with CLONE_VM and CLONE_VFORK, no exit
// signal) forks in the name of the calling thread, which is blocked meanwhile, and ends. The fork is handed
// to init, or to the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER); a program that is a subreaper
// itself can wait for it after all. The fork keeps a copy-on-write copy of the program's memory until it
// ends, but none of its descriptors.
#pragma once

#include "harness/probe/armer.h"
#include "harness/probe/stepper.h"
#include "harness/ptrace/command_channel.h"

namespace proberace {

// On return the supervisor runs and waits for its first command on `socket`. It works with its own copies of
// the armer and the stepper. It ends after Close, when the program ends or execs, and when the channel's
// other end is closed.
Status start_supervisor(Command& command, int socket, Armer& armer, Stepper& stepper);

} // namespace proberace
