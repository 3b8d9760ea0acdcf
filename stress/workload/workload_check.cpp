#include "stress/workload/workload_check.h"

#include "harness/base/error.h"
#include "harness/probe/registry.h"
#include "harness/result/counts.h"
#include "harness/result/table.h"
#include "stress/hunt/search.h"

#include <cmath>
#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::chrono::minutes kDeadline{15};
constexpr std::chrono::seconds kShrinkFor{60};
constexpr std::size_t kMostShown = 5;

// Each probe takes tens of milliseconds.
bool is_slow(const std::string& strategy) {
  return facts_of(strategy).removal == Removal::Slow;
}

using Sites = std::vector<std::size_t>;

// The sites and what is left of them without a half, a quarter, ... and at last a single one: the site that matters is
// found after some 2 log n runs. RapidCheck's removeChunks leaves one site, then two, and so on: n * n runs.
rc::Shrinkable<Sites> with_fewer(Sites all) {
  return rc::shrinkable::shrinkRecur(std::move(all), [](const Sites& sites) {
    std::vector<std::pair<std::size_t, std::size_t>> chunks; // first, and one past the last
    for (std::size_t size = sites.size() / 2; size != 0; size /= 2)
      for (std::size_t first = 0; first < sites.size(); first += size)
        chunks.emplace_back(first, std::min(first + size, sites.size()));
    return rc::seq::map(rc::seq::fromContainer(std::move(chunks)), [sites](const auto& chunk) {
      Sites fewer = sites;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(chunk.first),
                  fewer.begin() + static_cast<std::ptrdiff_t>(chunk.second));
      return fewer;
    });
  });
}

// Subsets of one to eight ranges; their lengths are from one site to a quarter of all.
rc::Gen<Sites> subsets_of(std::size_t sites) {
  const auto place = rc::gen::inRange<std::size_t>(0, sites);
  const auto length = rc::gen::map(rc::gen::inRange(0, 1001), [sites](int exponent) {
    return static_cast<std::size_t>(
        std::pow(std::max(2.0, static_cast<double>(sites) / 4), exponent / 1000.0));
  });
  const auto pieces = rc::gen::mapcat(rc::gen::inRange<std::size_t>(1, 9), [=](std::size_t n) {
    return rc::gen::container<SiteRanges>(n, rc::gen::pair(place, length));
  });
  return [=](const rc::Random& random, int size) {
    SiteRanges ranges = pieces(random, size).value();
    for (auto& [first, end] : ranges)
      end += first;
    return with_fewer(members(ranges, sites));
  };
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

// One workload under one strategy. It is also how search() runs a subset.
class Check {
public:
  using Failure = SitesAtFault;

  Check(const WorkloadOptions& options, const std::string& strategy)
      : options_(options), strategy_(strategy) {
    row_.workload = options.workload;
    row_.strategy = strategy;
  }

  WorkloadRow run() {
    show("all sites");
    bool few = is_slow(strategy_);
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
      row_.at_fault = fewest_of(few ? a_few() : members({{0, sites}}, sites));
    } else if (!is_slow(strategy_) && options_.subsets != 0) {
      const SearchLimits limits{
          .budget = {}, .seed = options_.seed, .cases = options_.subsets, .shrink_at_least = kShrinkFor};
      auto result = search(limits, subsets_of(sites), *this);
      if (result.found) {
        row_.at_fault = std::move(result.found);
        row_.at_fault->recurs = result.shrunk;
      }
    }
    if (row_.at_fault)
      row_.at_fault->lines = sites_in_words(options_.workload, row_.at_fault->sites);
    return std::move(row_);
  }

  std::optional<Failure> attempt(const Sites& subset) {
    show(fmt::format("subset {} of {}", row_.subsets + 1, options_.subsets));
    Verdict verdict = run_sites(subset);
    row_.subsets += verdict.is(Ending::Skipped) ? 0 : 1;
    if (!verdict.is_counterexample())
      return std::nullopt;
    ++row_.broken;
    ending_ = verdict.ending;
    return Failure{ranges_of(subset), std::move(verdict)};
  }
  std::optional<Failure> attempt_smaller(const Sites& sites) const {
    show(fmt::format("looking for the sites at fault among {}", sites.size()));
    Verdict verdict = run_sites(sites);
    if (!verdict.is(ending_))
      return std::nullopt;
    return Failure{ranges_of(sites), std::move(verdict)};
  }
  // True if the sites fail again.
  bool worth_shrinking(const Failure& found) const {
    return run_cell(workload_cell(options_, strategy_, found.sites)).is(found.verdict.ending);
  }
  bool over() const { return false; }

private:
  Verdict run_sites(const std::optional<Sites>& sites) const {
    return run_cell(
        workload_cell(options_, strategy_, sites ? std::optional(ranges_of(*sites)) : std::nullopt));
  }

  Sites a_few() const {
    constexpr std::size_t kFew = 64;
    const std::size_t sites = count_sites();
    Sites few;
    for (std::size_t i = 0; i < kFew && i < sites; ++i)
      few.push_back(i * sites / std::min(kFew, sites));
    return few;
  }

  // Also where a cell did not live to say it.
  std::size_t count_sites() const {
    if (row_.whole.data.contains("sites"))
      return row_.whole.data["sites"];
    const Verdict none = run_sites(Sites());
    return none.data.contains("sites") ? none.data["sites"].get<std::size_t>() : 0;
  }

  // Precondition: the run with all of `sites` has failed.
  SitesAtFault fewest_of(const Sites& sites) {
    SitesAtFault found{ranges_of(sites), row_.whole};
    ending_ = row_.whole.ending;
    found.recurs = worth_shrinking(found);
    const auto until = std::chrono::steady_clock::now() + kShrinkFor;
    if (found.recurs)
      if (auto fewest = shrink_case(with_fewer(sites), until,
                                    [this](const Sites& fewer) { return attempt_smaller(fewer); }))
        found = std::move(*fewest);
    return found;
  }

  void show(const std::string& what) const {
    if (options_.progress)
      options_.progress(fmt::format("{} under {}: {}", options_.workload, strategy_, what));
  }

  const WorkloadOptions& options_;
  const std::string& strategy_;
  WorkloadRow row_;
  Ending ending_ = Ending::Broken; // of the failure that is made smaller
};

std::string refusals(const Json& refused) {
  std::string text;
  for (const auto& [reason, mnemonics] : refused.items())
    text += fmt::format("    refused: {}: {}\n", reason, most_frequent(mnemonics, 8));
  return text;
}

} // namespace

CellSpec workload_cell(const WorkloadOptions& options, const std::string& strategy,
                       const std::optional<SiteRanges>& sites) {
  CellSpec spec{"workload",
                Json{{"workload", options.workload},
                     {"strategy", strategy},
                     {"threads", options.threads},
                     {"plan", options.plan},
                     {"seed", options.seed}},
                kDeadline};
  if (sites)
    spec.parameters["sites"] = *sites;
  return spec;
}

std::vector<std::string> sites_in_words(const std::string& workload, const SiteRanges& ranges) {
  Sites sites = members(ranges, ranges.empty() ? 0 : ranges.back().second);
  sites.resize(std::min(sites.size(), kMostShown));
  const Verdict v =
      run_cell({"workload-sites", Json{{"workload", workload}, {"sites", ranges_of(sites)}}, kDeadline});
  return v.data.value("lines", std::vector<std::string>());
}

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
    if (!r.at_fault)
      continue;
    notes += fmt::format("  {}, {}: {}: {}\n", r.workload, r.strategy,
                         r.at_fault->recurs ? "sites at fault, which fail alone" : "it did not fail again",
                         r.at_fault->verdict.summary);
    if (r.at_fault->recurs)
      for (const std::string& line : r.at_fault->lines)
        notes += fmt::format("    {}\n", line);
    if (!r.at_fault->file.empty())
      notes += fmt::format("    again: proberace replay {}\n", r.at_fault->file);
  }
  return table.text() + notes;
}

Json to_json(const WorkloadRow& r) {
  Json j{{"workload", r.workload},      {"strategy", r.strategy}, {"held", r.held()},
         {"verdict", to_json(r.whole)}, {"subsets", r.subsets},   {"broken", r.broken}};
  if (!r.at_fault)
    return j;
  const SitesAtFault& f = *r.at_fault;
  if (f.recurs)
    j["guilty"] = Json{{"sites", f.sites}, {"instructions", f.lines}, {"verdict", to_json(f.verdict)}};
  if (!f.file.empty())
    j["file"] = f.file;
  return j;
}

} // namespace proberace
