// The child's side of a scenario's cell. Private to this folder.
#pragma once

#include "harness/cell/verdict.h"
#include "stress/scenario/exploration.h"
#include "stress/scenario/scenario_run.h"

namespace proberace {

Verdict controlled_verdict(const Scenario& scenario, const Exploration& exploration, Arena& arena, Text text,
                           std::unique_ptr<Prober> prober);
Verdict free_verdict(const Scenario& scenario, const Exploration& exploration, Arena& arena, Text text,
                     std::unique_ptr<Prober> prober);

} // namespace proberace
