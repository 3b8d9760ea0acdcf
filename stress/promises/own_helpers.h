// Processes that a prober has started, as the kernel shows them: our children that no experiment made, and
// processes that trace a thread of ours.
#pragma once

#include <sys/types.h>
#include <vector>

namespace proberace {

// Precondition: the experiment itself has no child. A process that ends meanwhile may be among them.
std::vector<pid_t> own_helpers();

} // namespace proberace
