// What many runs of the same histories came to, in the manner of litmus7: how often each outcome was seen.
#pragma once

#include "stress/scenario/history.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace proberace {

struct Outcomes {
  std::map<std::string, std::size_t> counts; // by what_broke (endings.h)
  std::map<std::string, std::string>
      examples;                   // the first cell of each outcome that is a counterexample, as its line
  std::optional<Verdict> not_run; // the first that was refused or skipped
  std::uint64_t executions = 0, hits = 0;

  void add(const History& history, const Verdict& verdict);
  std::size_t counterexamples() const;
};

struct StressCondition {
  std::string plan;
  std::size_t toggle = 0; // executions of all workers between arming and clearing all sites, and back
};

// One history under a condition: workers over probed code, one controller that arms and clears everything,
// workers that idle by turns. Differs from run to run by its bodies and its jitter.
History stress_history(const std::string& strategy, std::size_t threads, const StressCondition& condition,
                       std::size_t run);

} // namespace proberace
