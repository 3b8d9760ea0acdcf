#include "stress/debuggee/run_report.h"

#include "harness/result/table.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace proberace {

namespace {

using Order = std::vector<std::size_t>; // of places

Order by_hits(const std::vector<std::uint64_t>& hits) {
  Order order(hits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return hits[a] > hits[b]; });
  return order;
}

std::vector<std::uint64_t> hits_of(const RunReport& report) {
  std::vector<std::uint64_t> hits;
  for (const RunReport::Place& place : report.sites)
    hits.push_back(place.hits);
  return hits;
}

std::string end_of(const RunReport& report) {
  if (report.killed_by)
    return "killed by " + *report.killed_by;
  if (report.exit_status)
    return fmt::format("exited with status {}", *report.exit_status);
  return report.runs_on ? "runs on" : "has ended";
}

std::string plural(std::size_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

} // namespace

std::string text_of(const RunReport& report, std::size_t top) {
  const std::vector<std::uint64_t> hits = hits_of(report);
  Order order = by_hits(hits);
  if (top == 0)
    std::ranges::sort(order);
  const std::size_t shown = top == 0 ? order.size() : std::min(top, order.size());
  std::map<std::string, int> places; // by probe
  for (const RunReport::Place& place : report.sites)
    ++places[place.probe];
  Table table({"probe", "thread", "name", "hits"}, {false, true, false, true});
  for (std::size_t i = 0; i < shown; ++i) {
    const RunReport::Place& place = report.sites[order[i]];
    table.add({places[place.probe] > 1 ? place.place : place.probe, "all", "", std::to_string(place.hits)});
    for (const auto& [thread, n] : place.threads) {
      const auto name = report.thread_names.find(thread);
      table.add({"", std::to_string(thread), name != report.thread_names.end() ? name->second : "",
                 std::to_string(n)});
    }
  }
  std::string text = fmt::format("{}: process {} {}\n", report.strategy, report.process, end_of(report));
  if (const int execs = report.execs.value_or(0); execs > 0)
    text += fmt::format("it executed another program ({}): the probes went with the old one\n",
                        plural(static_cast<std::size_t>(execs), "time"));
  text += table.text();
  if (shown < order.size()) {
    std::uint64_t others = 0;
    for (std::size_t i = shown; i < order.size(); ++i)
      others += hits[order[i]];
    text += fmt::format("{}: {}\n", plural(order.size() - shown, "other place"), plural(others, "hit"));
  }
  constexpr std::size_t kRefusalsShown = 10;
  for (std::size_t i = 0; i < std::min(kRefusalsShown, report.refused.size()); ++i) {
    const RunReport::Refusal& r = report.refused[i];
    text += fmt::format("refused: {}: {}\n", r.place.empty() ? r.probe : r.place, r.reason);
  }
  if (report.refused.size() > kRefusalsShown)
    text += fmt::format("and {} others; --json lists them\n", report.refused.size() - kRefusalsShown);
  return text;
}

std::string line_since(const RunReport& report, const std::vector<std::uint64_t>& before, std::size_t top) {
  std::vector<std::uint64_t> fresh = hits_of(report);
  for (std::size_t i = 0; i < std::min(fresh.size(), before.size()); ++i)
    fresh[i] -= std::min(fresh[i], before[i]);
  const std::uint64_t all = std::accumulate(fresh.begin(), fresh.end(), std::uint64_t{0});
  std::string line = fmt::format("{:8.1f} s {:>10} {}", report.seconds, all, all == 1 ? "hit " : "hits");
  std::size_t shown = 0;
  for (const std::size_t i : by_hits(fresh)) {
    if (fresh[i] == 0 || shown == (top == 0 ? 3 : top))
      break;
    line += fmt::format("{} {} {}", shown++ == 0 ? "  " : ",", report.sites[i].place, fresh[i]);
  }
  return line;
}

} // namespace proberace
