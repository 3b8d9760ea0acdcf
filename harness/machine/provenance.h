// What a reader must know of the machine and the build to believe a figure.
#pragma once

#include "harness/base/json.h"

namespace proberace {

// {"schema": "proberace/provenance/1", "machine", "time", "cpu": {...}, "kernel", "hypervisor",
// "mitigations": {...},
//  "compiler", "commit", ...}. What cannot be found out is null, never left out.
Json provenance();

// A short name for results/<machine>/: hypervisor or "bare", CPU family, CPUs. Letters, digits and hyphens
// only.
std::string machine_name();

// Now, as 20260131T235959Z.
std::string utc_time_stamp();

} // namespace proberace
