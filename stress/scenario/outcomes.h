// The outcomes of many runs of the same scenarios, in the manner of litmus7: how often each was seen.
#pragma once

#include "harness/cell/verdict.h"
#include "stress/scenario/scenario.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace proberace {

struct Outcomes {
  std::map<std::string, std::size_t> counts; // by what_broke (endings.h)
  std::map<std::string, std::pair<Scenario, Verdict>>
      examples;                   // the first of each outcome that is a counterexample
  std::optional<Verdict> not_run; // the first that was refused or skipped
  std::uint64_t executions = 0, hits = 0;

  void add(const Scenario& scenario, const Verdict& verdict);
  std::size_t counterexamples() const;
};

struct StressCondition {
  std::string plan;
  std::size_t toggle = 0; // executions of all workers between arming and clearing all sites, and back
};

// One scenario under a condition: so many workers execute probed code, and one thread arms and clears all of
// it. Differs from run to run by its bodies and its jitter.
Scenario stress_scenario(const std::string& strategy, std::size_t threads, const StressCondition& condition,
                         std::size_t run);

} // namespace proberace
