// An interleaving for people: a column per thread, a row per step, the violated line marked.
#pragma once

#include "stress/scenario/explore.h"

namespace proberace {

// The scenario, then the table.
std::string text_of(const Scenario& scenario, const Explored& explored);

// The same as events of the Trace Event Format, which Chrome and Perfetto show: one step is one microsecond.
Json chrome_trace(const Scenario& scenario, const Explored& explored);

} // namespace proberace
