// Runs measurements through Google Benchmark: repetitions of all of them, interleaved at random, each a cell.
#pragma once

#include "stress/bench/measurement.h"

#include <functional>

namespace proberace {

struct Repetition {
  const Measurement& measurement;
  const Verdict& verdict;
  std::size_t done;
  std::size_t of;

  // A line of raw.jsonl.
  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("suite", self.measurement.suite);
    field("case", self.measurement.case_name);
    field("strategy", self.measurement.strategy);
    field("threads", self.measurement.threads);
    field("plan", self.measurement.plan);
    field("order", self.done);
    field("ending", self.verdict.ending);
    field("summary", self.verdict.summary);
    field("data", self.verdict.data);
    field("cell", Computed{Json::parse(self.measurement.cell.line())});
  }
};

struct BenchOutcome {
  Summary summary;                  // rows of what was measured, with ratios
  std::vector<std::string> skipped; // "name: why", of what was not
};

// Precondition: start_nursery(). Calls `each` after every repetition.
BenchOutcome run_measurements(const std::vector<Measurement>& all, int repetitions,
                              const std::function<void(const Repetition&)>& each);

} // namespace proberace
