// Scenarios that say the same with less, and that RapidCheck's shrinking does not reach.
#pragma once

#include "stress/scenario/scenario.h"

namespace proberace {

// A probe armed before the threads start instead of by one of them, plain executions, plainer bodies, one page, a
// prober opened once. Each is runnable.
std::vector<Scenario> simpler(const Scenario& scenario);

} // namespace proberace
