// Runs of a scenario in a cell, and their results.
#pragma once

#include "harness/cell/cell.h"
#include "stress/scenario/exploration.h"
#include "stress/scenario/scenario.h"

namespace proberace {

struct TakenStep {
  std::string name;
  Address site{};
  std::optional<std::size_t> body{}; // whose site that is
  std::size_t task = 0;
  std::size_t before = 0;
  bool preempted = false;
};

struct Explored {
  Verdict verdict;                       // of all runs, or of the one that broke; data counts them
  schedule::Schedule schedule{};         // the last one that ran: the one that broke
  std::vector<TakenStep> steps{};        // its steps
  std::optional<std::size_t> violated{}; // the step at which the fault was seen
  std::uint64_t schedules = 0;           // run; 0 in a free run
  bool exhausted = false;                // Exhaustive: every schedule within the bound was run
};

// Its deadline is long enough for the budget, and in a free run for all pauses at their longest, one after
// the other.
CellSpec to_cell(const Scenario& scenario, const Exploration& exploration);

// Precondition: start_nursery(); unless the exploration is free, a program that has its schedule points
// compiled in.
Explored explore(const Scenario& scenario, const Exploration& exploration);
// One free run.
CellSpec free_cell(const Scenario& scenario);
Explored run_free(const Scenario& scenario);

} // namespace proberace
