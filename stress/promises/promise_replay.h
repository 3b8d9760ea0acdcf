// Broken promises as counterexample files.
#pragma once

#include "harness/result/summary.h"
#include "stress/hunt/counterexample.h"

namespace proberace {

// `row`: of promise_rows, and broken.
Counterexample counterexample_of(const VerdictRow& row);

} // namespace proberace
