#include "stress/hunt/campaign_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace proberace {

double missed_at_most(std::size_t threads, std::uint64_t choices, std::size_t depth,
                      std::uint64_t schedules) {
  const double found = 1 / (static_cast<double>(threads) *
                            std::pow(static_cast<double>(choices), static_cast<double>(depth) - 1));
  return found >= 1 ? 0 : std::exp(static_cast<double>(schedules) * std::log1p(-found));
}

CampaignReport report_of(const CaseSet& set) {
  CampaignReport r;
  const bool pct = set.campaign.value("scheduler", "") == "pct";
  std::vector<double> missed;
  for (const auto& [seed, line] : set.done) {
    ++r.cases;
    r.add(line);
    const std::uint64_t schedules = line.value("schedules", std::uint64_t{0});
    r.schedules += schedules;
    r.exhausted += line.value("exhausted", false) ? 1 : 0;
    const bool broken = line.value("broken", false);
    const bool refused = line.value("refused", false);
    r.refused += refused ? 1 : 0;
    if (broken)
      r.broken.push_back(line);
    else if (pct && !refused) // "longest", "at_full_length": kept when pct drew from all steps
      missed.push_back(missed_at_most(line.value("threads", std::size_t{1}),
                                      line.value("most_choices", line.value("longest", std::uint64_t{1})),
                                      set.campaign.value("depth", std::size_t{1}),
                                      line.value("knowing", line.value("at_full_length", std::uint64_t{0}))));
  }
  if (!set.done.empty()) {
    r.first_seed = set.done.begin()->first;
    r.last_seed = set.done.rbegin()->first;
    r.missing = r.last_seed - r.first_seed + 1 - r.cases;
  }
  if (!missed.empty()) {
    std::ranges::sort(missed);
    r.missed_median = missed[missed.size() / 2];
    r.missed_worst = missed.back();
  }
  return r;
}

Json to_json(const CampaignReport& r, const Json& campaign) {
  const auto number = [](const std::optional<double>& x) { return x ? Json(*x) : Json(nullptr); };
  Json j{{"schema", "proberace/campaign-report/1"},
         {"campaign", campaign},
         {"cases", r.cases},
         {"first_seed", r.first_seed},
         {"last_seed", r.last_seed},
         {"missing", r.missing},
         {"refused", r.refused},
         {"schedules", r.schedules},
         {"exhausted", r.exhausted}};
  j.update(r.json());
  j["missed_at_most"] = Json{{"median", number(r.missed_median)}, {"worst", number(r.missed_worst)}};
  j["broken"] = r.broken;
  return j;
}

std::string text_of(const CampaignReport& r, const Json& campaign) {
  std::string text = fmt::format("{}: {} of {} cases broke (seeds {} to {}", campaign.value("strategy", ""),
                                 r.broken.size(), r.cases, r.first_seed, r.last_seed);
  text += r.missing != 0 ? fmt::format(", {} of them not done)\n", r.missing) : ")\n";
  if (campaign.contains("scheduler"))
    text += fmt::format("  {} schedules ({})\n", r.schedules, campaign.value("scheduler", ""));
  text += fmt::format(
      "  {} executions: {} must count, {} must not, {} may; {} hits, {} insertions, {} removals\n",
      r.executions, r.must, r.must_not, r.may, r.hits, r.inserted, r.removed);
  if (r.refused != 0)
    text += fmt::format("  {} cases refused\n", r.refused);
  if (campaign.value("scheduler", "") == "exhaustive")
    text += fmt::format("  of {} programs every schedule with at most {} preemptions was run\n", r.exhausted,
                        campaign.value("preemptions", 0));
  if (r.missed_median)
    text += fmt::format(
        "  a bug of depth {} in one of these programs was missed with probability at most {:.3g} (median), "
        "{:.3g} (the worst of them)\n",
        campaign.value("depth", 0), *r.missed_median, *r.missed_worst);
  for (const Json& line : r.broken)
    text += fmt::format(
        "  seed {}: {}: {}{}\n", line["seed"].dump(), line.value("property", ""), line.value("summary", ""),
        line.contains("file") ? fmt::format(" (proberace replay {})", line.value("file", "")) : "");
  return text;
}

} // namespace proberace
