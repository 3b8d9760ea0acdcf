#include "harness/cli/summary_table.h"

#include "harness/result/table.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

std::string with_unit(double value, const std::string& unit) {
  if (unit != "ns")
    return fmt::format("{:.3g} {}", value, unit);
  if (value >= 1e6)
    return fmt::format("{:.2f} ms", value / 1e6);
  if (value >= 1e3)
    return fmt::format("{:.2f} us", value / 1e3);
  return fmt::format("{:.2f} ns", value);
}

std::string ratio(const std::optional<double>& r) {
  return r ? fmt::format("{:.3g}", *r) : "";
}

std::string cell(const VerdictRow& row) {
  if (row.verdict == "kept")
    return "kept";
  if (row.verdict == "broken")
    return "BROKEN: " + row.observed;
  if (row.verdict == "skipped")
    return "skipped";
  return "- (" + row.observed + ")";
}

// One letter a cell, where a column for each strategy's name would be too wide to read.
std::string letter(const VerdictRow& row) {
  if (row.verdict == "kept")
    return "+";
  if (row.verdict == "broken")
    return "!!";
  if (row.verdict == "skipped")
    return "s";
  return row.observed == "held" ? "." : row.observed.substr(0, 1);
}

constexpr const char* kLetters =
    "+ kept; !! BROKEN; s skipped; not promised: . held, b broken, c crashed, h hung, "
    "r refused\n";

template <typename T> void add_once(std::vector<T>& list, const T& item) {
  if (std::find(list.begin(), list.end(), item) == list.end())
    list.push_back(item);
}

} // namespace

std::string promise_matrix_text(const std::vector<VerdictRow>& verdicts) {
  std::vector<std::string> strategies;
  std::vector<std::string> cases;
  for (const VerdictRow& row : verdicts) {
    add_once(strategies, row.strategy);
    add_once(cases, row.case_name);
  }
  constexpr std::size_t kWidest = 6; // strategies that fit by name
  const bool narrow = strategies.size() > kWidest;
  std::string legend;
  std::vector<std::string> header{"promise"};
  for (std::size_t i = 0; i < strategies.size(); ++i) {
    header.push_back(narrow ? std::to_string(i + 1) : strategies[i]);
    if (narrow)
      legend += fmt::format("{:>4} {}\n", i + 1, strategies[i]);
  }
  if (narrow)
    legend += kLetters;
  Table table(header);
  for (const std::string& promise : cases) {
    std::vector<std::string> line{promise};
    for (const std::string& strategy : strategies) {
      const auto row = std::find_if(verdicts.begin(), verdicts.end(), [&](const VerdictRow& r) {
        return r.case_name == promise && r.strategy == strategy;
      });
      line.push_back(row == verdicts.end() ? "" : narrow ? letter(*row) : cell(*row));
    }
    table.add(line);
  }
  std::string text = legend + table.text();
  for (const VerdictRow& row : verdicts)
    if (!row.reason.empty())
      text += fmt::format("  {} {}: {}: {}\n", row.strategy, row.case_name, row.observed, row.reason);
  return text;
}

std::string text_of(const Summary& summary) {
  std::string text;
  if (!summary.measured.empty()) {
    Table table({"suite", "case", "strategy", "threads", "metric", "median", "95 % low", "high", "n",
                 "/ trap floor", "/ kernel-uprobe"},
                {false, false, false, true, false, true, true, true, true, true, true});
    for (const MeasuredRow& r : summary.measured)
      table.add({r.suite, r.case_name, r.strategy, std::to_string(r.threads), r.metric,
                 with_unit(r.median, r.unit), with_unit(r.low, r.unit), with_unit(r.high, r.unit),
                 std::to_string(r.n), ratio(r.trap_ratio), ratio(r.uprobe_ratio)});
    text += table.text();
  }
  for (const char* suite : {"promises", "target"}) {
    std::vector<VerdictRow> of_suite;
    std::copy_if(summary.verdicts.begin(), summary.verdicts.end(), std::back_inserter(of_suite),
                 [&](const VerdictRow& r) { return r.suite == suite; });
    if (!of_suite.empty())
      text += "\n" + promise_matrix_text(of_suite);
  }
  return text;
}

} // namespace proberace
