// A summary for people.
#pragma once

#include "harness/result/summary.h"

namespace proberace {

// Measured rows, one line each, with units and ratios; then the promise matrix.
std::string text_of(const Summary& summary);

// Promises down, strategies across: kept, BROKEN, "-" not promised (and what was observed), skipped.
std::string promise_matrix_text(const std::vector<VerdictRow>& verdicts);

} // namespace proberace
