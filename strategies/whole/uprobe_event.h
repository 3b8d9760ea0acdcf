// A uprobe as a perf event (perf_event_open(2)): while the event is open, the uprobe is armed and counts.
#pragma once

#include "harness/base/error.h"

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace proberace {

// perf's type number of uprobes. MachineLacks.
std::expected<std::uint32_t, Error> uprobe_perf_type();

// The event's descriptor, or -1 and errno. The event counts one thread (0: the caller) and, with `inherit`,
// the threads that it creates, but not its forked children (H72). For thread -1 it counts every thread that
// runs on one CPU. Precondition of `inherit`: `path` stays where it is, because perf reads it again in the
// memory of the thread that creates another: if it were gone, creating a thread would fail with ENOENT (seen
// on Linux 6.18).
int open_uprobe_event(std::uint32_t type, const std::string& path, std::uint64_t offset, pid_t thread,
                      int cpu, bool inherit = true);

// The error that an errno of open_uprobe_event means for the site.
Error uprobe_registration_error(int error_number, Address at);

} // namespace proberace
