// An interleaving for people: a column per thread, a row per step, the violated line marked.
#pragma once

#include "stress/scenario/controlled.h"

namespace proberace {

// The program, then the table.
std::string text_of(const Program& program, const Explored& explored);

// The same as events of the Trace Event Format, which Chrome and Perfetto show: one step is one microsecond.
Json chrome_trace(const Program& program, const Explored& explored);

} // namespace proberace
