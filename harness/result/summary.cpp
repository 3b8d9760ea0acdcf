#include "harness/result/summary.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

Json optional_number(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

std::optional<double> number_or_null(const Json& j) {
  return j.is_null() ? std::nullopt : std::optional(j.get<double>());
}

const MeasuredRow* find(const Summary& summary, const MeasuredRow& like, std::string_view strategy) {
  const auto it = std::find_if(summary.measured.begin(), summary.measured.end(), [&](const MeasuredRow& r) {
    return r.suite == like.suite && r.case_name == like.case_name && r.threads == like.threads &&
           r.plan == like.plan && r.metric == like.metric && r.strategy == strategy;
  });
  return it != summary.measured.end() ? &*it : nullptr;
}

MeasuredRow measured_from(const Json& j) {
  MeasuredRow r;
  r.suite = j.at("suite");
  r.case_name = j.at("case");
  r.strategy = j.at("strategy");
  r.threads = j.at("threads");
  r.plan = j.at("plan");
  r.metric = j.at("metric");
  r.unit = j.at("unit");
  r.n = j.at("n");
  r.median = j.at("median");
  r.low = j.at("low");
  r.high = j.at("high");
  r.trap_ratio = number_or_null(j.at("trap_ratio"));
  r.uprobe_ratio = number_or_null(j.at("uprobe_ratio"));
  return r;
}

VerdictRow verdict_from(const Json& j) {
  VerdictRow r;
  r.suite = j.at("suite");
  r.case_name = j.at("case");
  r.strategy = j.at("strategy");
  r.verdict = j.at("verdict");
  r.observed = j.at("observed");
  r.reason = j.at("reason");
  return r;
}

} // namespace

Json to_json(const Summary& summary) {
  Json rows = Json::array();
  for (const MeasuredRow& r : summary.measured)
    rows.push_back(Json{{"suite", r.suite},
                        {"case", r.case_name},
                        {"strategy", r.strategy},
                        {"threads", r.threads},
                        {"plan", r.plan},
                        {"metric", r.metric},
                        {"unit", r.unit},
                        {"n", r.n},
                        {"median", r.median},
                        {"low", r.low},
                        {"high", r.high},
                        {"trap_ratio", optional_number(r.trap_ratio)},
                        {"uprobe_ratio", optional_number(r.uprobe_ratio)}});
  for (const VerdictRow& r : summary.verdicts)
    rows.push_back(Json{{"suite", r.suite},
                        {"case", r.case_name},
                        {"strategy", r.strategy},
                        {"verdict", r.verdict},
                        {"observed", r.observed},
                        {"reason", r.reason}});
  return Json{{"schema", kSummarySchema}, {"rows", std::move(rows)}};
}

std::expected<Summary, std::string> summary_from(const Json& json) {
  if (!json.is_object() || json.value("schema", "") != kSummarySchema)
    return std::unexpected(fmt::format("expected \"schema\": \"{}\"", kSummarySchema));
  Summary summary;
  std::size_t i = 0;
  try {
    for (const Json& row : json.at("rows")) {
      if (row.contains("verdict"))
        summary.verdicts.push_back(verdict_from(row));
      else
        summary.measured.push_back(measured_from(row));
      ++i;
    }
  } catch (const Json::exception& e) {
    return std::unexpected(fmt::format("row {}: {}", i, e.what()));
  }
  return summary;
}

void fill_ratios(Summary& summary, const std::string& peer) {
  const auto trap = std::find_if(summary.measured.begin(), summary.measured.end(), [](const MeasuredRow& r) {
    return r.suite == "floors" && r.case_name == "trap" && r.unit == "ns";
  });
  for (MeasuredRow& row : summary.measured) {
    if (row.unit != "ns")
      continue;
    if (trap != summary.measured.end() && trap->median > 0)
      row.trap_ratio = row.median / trap->median;
    const MeasuredRow* same = find(summary, row, peer);
    if (same != nullptr && same->median > 0)
      row.uprobe_ratio = row.median / same->median;
  }
}

} // namespace proberace
