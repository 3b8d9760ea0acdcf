// A sequence that leaves something else, or counts wrongly, when probed, as a counterexample of the kind "sequence".
#pragma once

#include "stress/hunt/counterexample.h"
#include "stress/transparency/sequence/sequence_check.h"

namespace proberace {

// Precondition: the report has a failure.
Counterexample to_counterexample(const SequenceReport& report);

} // namespace proberace
