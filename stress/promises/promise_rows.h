// The promise matrix as rows of summary.json.
#pragma once

#include "harness/result/summary.h"

#include <functional>

namespace proberace {

// Precondition: start_nursery(); the strategies exist. `progress` gets a line before each experiment.
std::vector<VerdictRow> promise_rows(const std::vector<std::string>& strategies,
                                     const std::function<void(const std::string&)>& progress);

} // namespace proberace
