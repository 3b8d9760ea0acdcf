// summary.json: {"schema": "proberace/summary/1", "rows": [...]}. Figures, page and paper read only this and
// provenance.json. Names do not change without a new schema number.
#pragma once

#include "harness/base/json.h"

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

inline constexpr std::string_view kSummarySchema = "proberace/summary/1";

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
};

// One verdict.
struct VerdictRow {
  std::string suite;
  std::string case_name;
  std::string strategy;
  std::string verdict; // kept, broken, not-promised, skipped
  std::string observed;
  std::string reason;
};

struct Summary {
  std::vector<MeasuredRow> measured;
  std::vector<VerdictRow> verdicts;
};

Json to_json(const Summary& summary);
// A message for the user if `json` is no summary of this schema: what, where.
std::expected<Summary, std::string> summary_from(const Json& json);

// Fills trap_ratio and uprobe_ratio of every row in ns from the rows of the same run. `peer` is the strategy
// that the others are compared with: the kernel's uprobes.
void fill_ratios(Summary& summary, const std::string& peer);

} // namespace proberace
