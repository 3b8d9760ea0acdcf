// Everything a reader needs to know about the machine and the build to believe a figure.
#pragma once

#include "harness/base/json_forward.h"

#include <string>

namespace proberace {

// {"schema": "proberace/provenance/1", "machine", "time", "cpu": {...}, "kernel", "hypervisor",
// "mitigations": {...}, "compiler", "commit", ...}. A fact that cannot be found out is null, never left out.
// Of the kernel's command line it has the parameters that change timing (kernel_parameters.h).
Json provenance();

// A short name for results/<machine>/: maker and model of the CPU, number of CPUs, hypervisor or "bare", as
// in "amd-epyc-2cpu-kvm". Lower-case letters, digits and hyphens only.
std::string machine_name();
// The same of another machine. `hypervisor` is what it answers for its vendor, "" without one.
std::string machine_name(const std::string& model, int processors, const std::string& hypervisor);

// Now, as 20260131T235959Z.
std::string utc_time_stamp();

} // namespace proberace
