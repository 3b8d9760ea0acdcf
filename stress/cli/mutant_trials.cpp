#include "stress/cli/mutant_trials.h"

#include "harness/base/shell.h"
#include "harness/cell/endings.h"
#include "harness/machine/build_id.h"
#include "harness/machine/provenance.h"
#include "harness/result/table.h"
#include "stress/hunt/campaign.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

namespace proberace {

namespace {

// Controlled ones need a processor each; stress needs them all.
constexpr std::array<const char*, 4> kWays{"random", "pct", "exhaustive", "stress"};
constexpr std::size_t kControlled = 3;

struct Trial {
  const Mutant& mutant;
  const char* way;
  std::uint64_t seed;
};

// Trials by number, from 1: all of one way, then of the next.
Trial trial_of(std::uint64_t number, const std::vector<Mutant>& mutants, std::size_t seeds) {
  const std::uint64_t i = number - 1;
  return {mutants[i / seeds % mutants.size()], kWays[i / seeds / mutants.size()], i % seeds + 1};
}

bool is_stress(const Trial& t) {
  return std::string_view(t.way) == "stress";
}

std::string command_line(const Trial& t, std::chrono::milliseconds budget) {
  std::string line = fmt::format(
      "{} hunt --promised --strategy '{}' --seed {} --budget {}ms --as-found --json --out "
      "{}/mutants/races/{}",
      t.mutant.program(), t.mutant.strategy, t.seed, budget.count(), PROBERACE_BUILD, t.mutant.name);
  if (!is_stress(t))
    line += fmt::format(" --scheduler {} --per-scenario {}", t.way, kSchedulesPerScenario);
  return line + " 2>/dev/null";
}

std::expected<Json, Error> run_trial(std::uint64_t number, const Trial& t, std::chrono::milliseconds budget) {
  const auto began = std::chrono::steady_clock::now();
  const Outcome o = run_shell(command_line(t, budget));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const Json hunt = Json::parse(o.out, nullptr, false);
  if (!hunt.is_object())
    return std::unexpected(
        Error{ErrorKind::System, {}, fmt::format("no report from: {}", command_line(t, budget))});
  const Json found = hunt.value("counterexample", Json());
  Json line{{"seed", number}, // of the campaign: which trial
            {"mutant", t.mutant.name},
            {"way", t.way},
            {"hunt_seed", t.seed},
            {"caught", found.is_object()},
            // Schedules; under stress, scenarios.
            {"tries", hunt.value(is_stress(t) ? "scenarios" : "schedules", Json(0))},
            {"seconds", seconds}};
  if (found.is_object())
    line["by"] = what_broke(found.at("verdict"));
  return line;
}

// The value below which the given share lies, between two by their distance; infinity where one of them is a
// trial that found nothing.
double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const double below = sorted[static_cast<std::size_t>(at)];
  const double above = sorted[static_cast<std::size_t>(std::ceil(at))];
  return below == above ? below : below + (at - std::floor(at)) * (above - below);
}

struct Spread {
  double low, median, high; // quartiles
};

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)};
}

Json number_or_null(double x) {
  return std::isfinite(x) ? Json(x) : Json(nullptr);
}

struct Row {
  std::size_t trials = 0, caught = 0;
  Spread tries{}, seconds{};
};

Row row_of(const CaseSet& set, const std::string& mutant, const char* way) {
  std::vector<double> tries;
  std::vector<double> seconds;
  Row row;
  for (const auto& [number, line] : set.done) {
    if (line.value("mutant", "") != mutant || line.value("way", "") != way)
      continue;
    const bool caught = line.value("caught", false);
    ++row.trials;
    row.caught += caught ? 1 : 0;
    tries.push_back(caught ? line.value("tries", 0.0) : INFINITY);
    seconds.push_back(caught ? line.value("seconds", 0.0) : INFINITY);
  }
  if (row.trials != 0) {
    row.tries = spread_of(std::move(tries));
    row.seconds = spread_of(std::move(seconds));
  }
  return row;
}

std::string text_of(const Row& row) {
  if (row.trials == 0)
    return "";
  const auto number = [](double x) { return std::isfinite(x) ? fmt::format("{:.0f}", x) : std::string("-"); };
  return fmt::format("{}/{}  {} ({} to {})", row.caught, row.trials, number(row.tries.median),
                     number(row.tries.low), number(row.tries.high));
}

void report(const CaseSet& set, const std::vector<Mutant>& mutants, bool json) {
  Table table({"mutant", "random", "pct", "exhaustive", "stress"});
  Json rows = Json::array();
  std::size_t compared = 0;
  std::size_t no_more = 0;
  for (const Mutant& m : mutants) {
    std::vector<std::string> cells{m.name};
    std::array<Row, kWays.size()> by_way;
    for (std::size_t w = 0; w < kWays.size(); ++w) {
      const Row& row = by_way[w] = row_of(set, m.name, kWays[w]);
      cells.push_back(text_of(row));
      const auto spread = [](const Spread& s) {
        return Json{{"low", number_or_null(s.low)},
                    {"median", number_or_null(s.median)},
                    {"high", number_or_null(s.high)}};
      };
      rows.push_back(Json{{"mutant", m.name},
                          {"hazards", m.hazards},
                          {"strategy", m.strategy},
                          {"observable", m.observable()},
                          {"way", kWays[w]},
                          {"trials", row.trials},
                          {"caught", row.caught},
                          {"tries", spread(row.tries)},
                          {"seconds", spread(row.seconds)}});
    }
    table.add(cells);
    const double random = by_way[0].tries.median;
    const double pct = by_way[1].tries.median;
    if (!std::isfinite(random) && !std::isfinite(pct)) // neither finds it in more than half of its trials
      continue;
    ++compared;
    no_more += pct <= random ? 1 : 0;
  }
  if (json) {
    fmt::print("{}\n", Json{{"schema", "proberace/mutant-trials/1"},
                            {"provenance", provenance()},
                            {"campaign", set.campaign},
                            {"pct_no_more_than_random", no_more},
                            {"compared", compared},
                            {"rows", std::move(rows)}}
                           .dump(2));
    return;
  }
  fmt::print(
      "{}\ncaught of trials, then schedules (scenarios under stress) to the first catch: median (quartiles); "
      "- where "
      "it was not caught within the budget\npct needs no more schedules than random on {} of {} mutants that "
      "one of them "
      "finds in more than half of its trials\n",
      table.text(), no_more, compared);
}

} // namespace

Exit run_trials(const std::vector<Mutant>& mutants, const MutantTrials& trials, bool json,
                Progress& progress) {
  Json names = Json::array();
  Json patches = Json::array(); // as they are now: one that was changed has trials of its own
  for (const Mutant& m : mutants) {
    names.push_back(m.name);
    patches.push_back(m.patch);
    if (!std::filesystem::exists(m.program()))
      return fail(Error{ErrorKind::BadInput,
                        {},
                        fmt::format("{} does not build: cmake --build {} --target mutant-{} says why", m.name,
                                    PROBERACE_BUILD, m.name)});
  }
  const auto directory = CaseDirectory::open(trials.directory, Json{{"strategy", "mutants"},
                                                                    {"mutants", std::move(names)},
                                                                    {"seeds", trials.seeds},
                                                                    {"budget_ms", trials.budget.count()},
                                                                    {"patches", std::move(patches)},
                                                                    {"build", build_id()}});
  if (!directory)
    return fail(directory.error());
  const std::uint64_t per_way = trials.seeds * mutants.size();
  const RunCase run_case = [&](std::uint64_t number) {
    return run_trial(number, trial_of(number, mutants, trials.seeds), trials.budget);
  };
  const CampaignOptions controlled{
      {1, kControlled * per_way}, trials.jobs, std::chrono::hours(24 * 365), true};
  const CampaignOptions stress{{controlled.seeds.last + 1, kWays.size() * per_way}, 1, controlled.budget};
  for (const CampaignOptions& options : {controlled, stress}) {
    const Status ran = run_campaign(*directory, options, run_case, [&](const CampaignProgress& p) {
      progress.show(
          fmt::format("{} trials of seeds {} to {}", p.finished, options.seeds.first, options.seeds.last));
    });
    if (!ran)
      return fail(ran.error());
  }
  const auto set = CaseDirectory::read(trials.directory);
  if (!set)
    return fail(set.error());
  report(*set, mutants, json);
  const bool missed = std::ranges::any_of(mutants, [&](const Mutant& m) {
    return m.observable() && std::ranges::none_of(kWays, [&](const char* way) {
             return row_of(*set, m.name, way).caught != 0;
           });
  });
  return missed ? Exit::Counterexample : Exit::Held;
}

} // namespace proberace
