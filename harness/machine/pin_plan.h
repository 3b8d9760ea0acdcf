// The CPUs that the threads of a workload run on. Plans are named after what the threads share.
#pragma once

#include "harness/base/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace proberace {

struct PinPlan {
  std::string name;
  std::vector<int> cpus; // one per thread: the CPU number (as the kernel counts) it is pinned to
};

struct PinPlanText {
  std::string_view name;
  std::string_view sentence;
};

// `same-pu`, `across-cores`, `smt-siblings`, `across-numa`, `oversubscribed`.
const std::vector<PinPlanText>& pin_plans();

// CPUs for `threads` threads (oversubscribed: for at least four per processing unit). MachineLacks, with the
// reason, where this machine has no such place; BadInput for an unknown name. Only CPUs this process may run
// on are used.
std::expected<PinPlan, Error> make_pin_plan(std::string_view name, std::size_t threads);

// The CPUs this process may run on, neighbours sharing most. Answered once, so that pinning a thread later
// does not change the answer. Empty if the machine's topology cannot be read.
std::vector<int> allowed_cpus();

// Pins the calling thread.
Status pin_this_thread(int cpu);

} // namespace proberace
