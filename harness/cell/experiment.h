// An experiment runs in a cell: a function registered by name that takes parameters and the arena, and
// returns a verdict.
#pragma once

#include "harness/base/error.h"
#include "harness/cell/arena.h"
#include "harness/cell/verdict.h"

#include <functional>

namespace proberace {

// Runs in the child, on its only thread; it may start others. Returns Held, Broken, Refused or Skipped; the
// other endings are found by the cell.
using Experiment = std::function<Verdict(const Json& parameters, Arena& arena)>;

// Returns true, so that it can initialise a constant. Call before Nursery::start: the nursery knows what was
// registered by then.
bool register_experiment(std::string name, Experiment experiment);

// Null if there is none.
const Experiment* find_experiment(const std::string& name);

// A verdict from an error: MachineLacks and NoPermission are Skipped, the rest Refused.
Verdict verdict_of(const Error& error);

} // namespace proberace
