#include "stress/workload/workload_check.h"

#include "harness/base/error.h"
#include "harness/cell/cell.h"
#include "harness/result/counts.h"
#include "harness/result/table.h"
#include "stress/workload/workload.h"

#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <rapidcheck.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kDeadline{15};
constexpr std::chrono::seconds kShrinkFor{60};
constexpr std::size_t kMostShown = 5;

// The kernel takes 20 ms and more a probe.
bool takes_its_time(const std::string& strategy) {
  return strategy == "kernel-uprobe";
}

// One to eight ranges; their lengths from one site to a quarter of all.
std::vector<std::size_t> random_subset(std::uint64_t seed, std::size_t number, std::size_t sites) {
  const auto place = rc::gen::inRange<std::size_t>(0, sites);
  const auto length = rc::gen::map(rc::gen::inRange(0, 1001), [sites](int exponent) {
    return static_cast<std::size_t>(
        std::pow(std::max(2.0, static_cast<double>(sites) / 4), exponent / 1000.0));
  });
  const auto pieces = rc::gen::mapcat(rc::gen::inRange<std::size_t>(1, 9), [=](std::size_t n) {
    return rc::gen::container<SiteRanges>(n, rc::gen::pair(place, length));
  });
  SiteRanges ranges = pieces(rc::Random(rc::Random::Key{seed, number, 0, 0}), 100).value();
  for (auto& [first, end] : ranges)
    end += first;
  return members(ranges, sites);
}

// As a thread's TLS has.
bool has_room_for_few(const Verdict& v) {
  constexpr std::uint64_t kFew = 100;
  if (!v.is(Ending::Held) || v.data["armed"].get<std::uint64_t>() > kFew)
    return false;
  return std::ranges::any_of(v.data["refused"].items(), [](const auto& reason) {
    return reason.key().starts_with(name(ErrorKind::NoRoom));
  });
}

class Check {
public:
  Check(const WorkloadOptions& options, const std::string& strategy)
      : options_(options), strategy_(strategy) {
    row_.workload = options.workload;
    row_.strategy = strategy;
  }

  WorkloadRow run() {
    show("all sites");
    bool few = takes_its_time(strategy_);
    row_.whole = few ? run_sites(a_few()) : run_sites(std::nullopt);
    if (!few && has_room_for_few(row_.whole)) { // the first of them, then: rather some from everywhere
      few = true;
      row_.whole = run_sites(a_few());
    }
    if (row_.whole.is(Ending::Skipped) || row_.whole.is(Ending::Refused))
      return std::move(row_);
    const std::size_t sites = count_sites();
    if (row_.whole.is_counterexample()) {
      ++row_.broken;
      shrink(few ? a_few() : members({{0, sites}}, sites));
      return std::move(row_);
    }
    const std::size_t subsets = takes_its_time(strategy_) ? 0 : options_.subsets;
    for (std::size_t n = 0; n < subsets && row_.broken == 0; ++n) {
      show(fmt::format("subset {} of {}", n + 1, subsets));
      auto subset = random_subset(options_.seed, n, sites);
      const Verdict verdict = run_sites(subset);
      row_.subsets += verdict.is(Ending::Skipped) ? 0 : 1;
      if (verdict.is_counterexample()) {
        ++row_.broken;
        shrink(std::move(subset));
      }
    }
    return std::move(row_);
  }

private:
  Verdict run_sites(const std::optional<std::vector<std::size_t>>& sites) const {
    CellSpec spec{"workload",
                  Json{{"workload", options_.workload},
                       {"strategy", strategy_},
                       {"threads", options_.threads},
                       {"plan", options_.plan},
                       {"seed", options_.seed}},
                  kDeadline};
    if (sites)
      spec.parameters["sites"] = ranges_of(*sites);
    return run_cell(spec);
  }

  std::vector<std::size_t> a_few() const {
    constexpr std::size_t kFew = 64;
    const std::size_t sites = count_sites();
    std::vector<std::size_t> few;
    for (std::size_t i = 0; i < kFew && i < sites; ++i)
      few.push_back(i * sites / std::min(kFew, sites));
    return few;
  }

  // Also where a cell did not live to say it.
  std::size_t count_sites() const {
    if (row_.whole.data.contains("sites"))
      return row_.whole.data["sites"];
    const Verdict none = run_sites(std::vector<std::size_t>());
    return none.data.contains("sites") ? none.data["sites"].get<std::size_t>() : 0;
  }

  // RapidCheck's way: without ever smaller parts, as long as what is left still fails.
  void shrink(std::vector<std::size_t> sites) {
    Verdict verdict = run_sites(sites);
    if (!verdict.is_counterexample())
      return;
    const auto until = Clock::now() + kShrinkFor;
    bool smaller = true;
    while (smaller && Clock::now() < until) {
      smaller = false;
      auto candidates = rc::shrink::removeChunks(sites);
      for (auto next = candidates.next(); next && Clock::now() < until; next = candidates.next()) {
        show(fmt::format("looking for the guilty among {} sites", sites.size()));
        if (next->empty())
          continue;
        if (Verdict v = run_sites(*next); v.is(verdict.ending)) {
          verdict = std::move(v);
          sites = *next;
          smaller = true;
          break;
        }
      }
    }
    row_.guilty = GuiltySites{ranges_of(sites), std::move(verdict), describe_sites(sites)};
  }

  std::vector<std::string> describe_sites(const std::vector<std::size_t>& sites) const {
    const Verdict v = run_cell(
        {"workload-sites",
         Json{{"workload", options_.workload},
              {"sites", ranges_of({sites.begin(), sites.begin() + static_cast<std::ptrdiff_t>(
                                                                      std::min(sites.size(), kMostShown))})}},
         kDeadline});
    return v.data.value("lines", std::vector<std::string>());
  }

  void show(const std::string& what) const {
    if (options_.progress)
      options_.progress(fmt::format("{} under {}: {}", options_.workload, strategy_, what));
  }

  const WorkloadOptions& options_;
  const std::string& strategy_;
  WorkloadRow row_;
};

std::string refusals(const Json& refused) {
  std::string text;
  for (const auto& [reason, mnemonics] : refused.items())
    text += fmt::format("    refused: {}: {}\n", reason, most_frequent(mnemonics, 8));
  return text;
}

} // namespace

std::vector<WorkloadRow> check_workload(const WorkloadOptions& options) {
  std::vector<WorkloadRow> rows;
  for (const std::string& strategy : options.strategies) {
    rows.push_back(Check(options, strategy).run());
    if (rows.back().whole.is(Ending::Refused))
      break; // bad input is the same for all
  }
  return rows;
}

std::string text_of(const std::vector<WorkloadRow>& rows) {
  Table table(
      {"workload", "strategy", "verdict", "sites", "armed", "hit", "hits", "calls", "seconds", "subsets"},
      {false, false, false, true, true, true, true, true, true, true});
  std::string notes;
  for (const WorkloadRow& r : rows) {
    const Json& d = r.whole.data;
    const auto count = [&](const char* key) {
      return d.contains(key) ? std::to_string(d[key].get<std::uint64_t>()) : "-";
    };
    table.add({r.workload, r.strategy,
               std::string(r.held()        ? "held"
                           : r.broken != 0 ? "broken"
                                           : name(r.whole.ending)),
               count("sites"), count("armed"), count("hit_sites"), count("hits"), count("calls"),
               d.contains("seconds") ? fmt::format("{:.1f}", d["seconds"].get<double>()) : "-",
               std::to_string(r.subsets)});
    if (!r.whole.is(Ending::Held))
      notes += fmt::format("  {}, {}: {}\n", r.workload, r.strategy, r.whole.summary);
    if (d.contains("refused") && !d["refused"].empty())
      notes += fmt::format("  {}, {}:\n{}", r.workload, r.strategy, refusals(d["refused"]));
    if (r.guilty) {
      notes += fmt::format("  {}, {}: these sites are enough: {}\n", r.workload, r.strategy,
                           r.guilty->verdict.summary);
      for (const std::string& line : r.guilty->lines)
        notes += fmt::format("    {}\n", line);
    } else if (r.broken != 0) {
      notes += fmt::format("  {}, {}: it did not fail again\n", r.workload, r.strategy);
    }
  }
  return table.text() + notes;
}

Json to_json(const WorkloadRow& r) {
  Json j{{"workload", r.workload},      {"strategy", r.strategy}, {"held", r.held()},
         {"verdict", to_json(r.whole)}, {"subsets", r.subsets},   {"broken", r.broken}};
  if (r.guilty)
    j["guilty"] = Json{{"sites", r.guilty->sites},
                       {"instructions", r.guilty->lines},
                       {"verdict", to_json(r.guilty->verdict)}};
  return j;
}

} // namespace proberace
