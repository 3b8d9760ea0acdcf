// summary.json: {"schema": "proberace/summary/1", "rows": [...]}. Figures, page and paper read only this and
// provenance.json. Names do not change without a new schema number.
#pragma once

#include "harness/base/error.h"
#include "harness/base/json_forward.h"

#include <optional>
#include <string>
#include <vector>

namespace proberace {

// One measured figure.
struct MeasuredRow {
  std::string suite;
  std::string case_name;
  std::string strategy; // "none" for a floor
  std::size_t threads = 1;
  std::string plan;
  std::string metric;
  std::string unit;
  std::size_t n = 0; // repetitions
  double median = 0;
  double low = 0;
  double high = 0;
  std::optional<double> trap_ratio;   // to the trap floor of the same run
  std::optional<double> uprobe_ratio; // to the reference peer on the same case of the same run

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("suite", self.suite);
    field("case", self.case_name);
    field("strategy", self.strategy);
    field("threads", self.threads);
    field("plan", self.plan);
    field("metric", self.metric);
    field("unit", self.unit);
    field("n", self.n);
    field("median", self.median);
    field("low", self.low);
    field("high", self.high);
    field("trap_ratio", self.trap_ratio);
    field("uprobe_ratio", self.uprobe_ratio);
  }
};

// One verdict.
struct VerdictRow {
  std::string suite;
  std::string case_name;
  std::string strategy;
  std::string verdict; // kept, broken, not-promised, skipped
  std::string observed;
  std::string reason;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("suite", self.suite);
    field("case", self.case_name);
    field("strategy", self.strategy);
    field("verdict", self.verdict);
    field("observed", self.observed);
    field("reason", self.reason);
  }
};

struct Summary {
  std::vector<MeasuredRow> measured;
  std::vector<VerdictRow> verdicts;
};

Json to_json(const Summary& summary);
// BadInput if `json` is no summary of this schema: says what, in which row.
std::expected<Summary, Error> summary_from(const Json& json);

// Fills trap_ratio and uprobe_ratio of every row in ns from the rows of the same run. `peer` is the strategy
// that the others are compared with: the kernel's uprobes.
void fill_ratios(Summary& summary, const std::string& peer);

} // namespace proberace
