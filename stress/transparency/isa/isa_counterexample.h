// An instruction that does something else with a probe on it, as a counterexample of the kind "instruction".
#pragma once

#include "stress/hunt/counterexample.h"
#include "stress/transparency/isa/isa_check.h"

namespace proberace {

// Precondition: the failure is seen alone. `mnemonics`: as in the options of the check that found it.
Counterexample to_counterexample(const IsaReport& report, const IsaFailure& failure,
                                 const std::vector<std::string>& mnemonics);

} // namespace proberace
