// Sites of a workload whose self-check fails while they are armed, as a counterexample of the kind "workload".
#pragma once

#include "stress/hunt/counterexample.h"
#include "stress/workload/workload_check.h"

namespace proberace {

// Precondition: the row has sites at fault. The options are those that found them.
Counterexample to_counterexample(const WorkloadOptions& options, const WorkloadRow& row);

} // namespace proberace
