// Hunts for a scenario that breaks a strategy, and under a scheduler for the schedule that does: scenarios
// are invented, run free or explored schedule by schedule, and a failing one is shrunk, down to few
// preemptions.
#pragma once

#include "stress/hunt/hunt_counts.h"
#include "stress/hunt/search.h"
#include "stress/scenario/explore.h"
#include "stress/scenario/scenario_generator.h"

#include <functional>

namespace proberace {

struct ScenarioHuntOptions {
  ScenarioBounds bounds{};
  std::optional<Scenario> only{}; // hunt in this one instead of inventing some
  Exploration exploration{};      // of each scenario; its seed is the hunt's own
  SearchLimits limits{};          // cases: scenarios
  std::uint64_t stop_after = 0;   // schedules; 0 for the limits alone
  std::string property{};         // only failures of this one are looked for; empty for any
  std::function<bool(const Verdict&)> worth_shrinking{};            // empty for every failure
  std::function<void(const struct ScenarioHuntReport&)> progress{}; // after each scenario; may be empty
};

struct ScenarioFailure {
  Scenario scenario; // the smallest found, or the first if it was not worth shrinking
  Explored explored;
  // In a controlled run: the number of runs in one process, each under the schedule, until it breaks.
  std::size_t runs = 1;
  // If no schedule breaks it alone: the schedules of one process, the last of which does.
  std::optional<Exploration> series{};
  bool recurs = true; // in a process of its own; otherwise the machine may have caused it
};

struct ScenarioHuntReport : HuntCounts {
  std::uint64_t seed = 0;
  std::uint64_t scenarios = 0; // run before the first failure, and that one
  std::uint64_t exhausted = 0; // of them, all schedules within the bound
  std::uint64_t schedules = 0; // likewise; 0 in free hunts
  std::uint64_t steps = 0;
  std::uint64_t threads = 0;      // the most that a scenario had
  std::uint64_t most_choices = 0; // the most steps of a schedule at which others could run
  std::uint64_t knowing = 0;      // schedules chosen in a process that had seen so many (of one scenario)
  std::uint64_t shrinks = 0;      // scenarios tried after it
  std::uint64_t refusals = 0, skipped = 0;
  std::optional<Verdict> refused{}; // the first scenario that was, or was skipped
  bool shrunk = false;              // the failure was worth it
  Json data = Json::object();       // of the last scenario's verdict
  std::optional<ScenarioFailure> found{};
  // Every scenario was refused or skipped.
  bool tested_nothing() const { return !found && hits == 0 && refused; }
};

// Precondition: start_nursery(), and unless the exploration is free a program that has its schedule points
// compiled in. The same seed invents the same scenarios and tries the same schedules, as far as the budget
// lasts; how threads interleave in a free run is the machine's.
ScenarioHuntReport hunt_scenarios(const ScenarioHuntOptions& options);

} // namespace proberace
