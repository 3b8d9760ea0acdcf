#include "stress/cli/hunt_races.h"

#include "harness/cell/cell.h"
#include "harness/cell/endings.h"
#include "harness/file/whole_file.h"
#include "harness/probe/registry.h"
#include "harness/schedule/chooser.h"
#include "stress/cli/controlled_build.h"
#include "stress/hunt/race_file.h"
#include "stress/scenario/interleaving.h"
#include "stress/scenario/program_properties.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

// What a controlled run could not control.
bool has_points(const std::string& strategy) {
  return strategy != "kernel-uprobe";
}

Json to_json(const RaceReport& r, const std::string& strategy, const Exploration& e,
             const std::string& file) {
  Json j{{"schema", "proberace/race-hunt/1"},
         {"strategy", strategy},
         {"scheduler", name(e.scheduler)},
         {"seed", r.seed},
         {"programs", r.programs},
         {"exhausted", r.exhausted},
         {"refused", r.refusals},
         {"schedules", r.schedules},
         {"steps", r.steps},
         {"shrinks", r.shrinks}};
  j.update(r.json());
  j["counterexample"] = nullptr;
  if (r.found)
    j["counterexample"] = Json{{"file", file},
                               {"program", to_json(r.found->program)},
                               {"schedule", text_of(r.found->explored.schedule)},
                               {"runs", r.found->runs},
                               {"recurs", r.found->recurs},
                               {"steps", r.found->explored.steps.size()},
                               {"verdict", proberace::to_json(r.found->explored.verdict)}};
  return j;
}

void print(const RaceReport& r, const std::string& strategy, const Exploration& e, const std::string& file) {
  fmt::print("{}: {} after {} schedules of {} programs ({}, seed {})\n", strategy,
             r.found ? "BROKEN" : "held", r.schedules, r.programs, name(e.scheduler), r.seed);
  fmt::print("  {} executions: {} must count, {} must not, {} may; {} hits, {} insertions, {} removals\n",
             r.executions, r.must, r.must_not, r.may, r.hits, r.inserted, r.removed);
  if (r.refusals != 0)
    fmt::print("  {} programs refused, the first: {}\n", r.refusals, r.refused->summary);
  if (e.scheduler == SchedulerKind::Exhaustive)
    fmt::print("  of {} programs every schedule with at most {} preemptions was run\n", r.exhausted,
               e.preemptions);
  if (!r.found)
    return;
  const Explored& explored = r.found->explored;
  fmt::print("\n{}: {}\n{}", name(explored.verdict.ending), explored.verdict.summary,
             text_of(r.found->program, explored));
  if (!r.found->recurs)
    fmt::print("it did not recur in a process of its own\n");
  if (r.found->runs > 1)
    fmt::print("this was run {} in one process, each under this schedule\n", r.found->runs);
  fmt::print("again: proberace replay {}\n", file);
}

} // namespace

void HuntRaces::declare(CLI::App& app) {
  app.add_option("--scheduler", scheduler_, "Control the threads' interleaving: random, pct, exhaustive");
  app.add_option("--depth", depth_, "With pct: of the bugs looked for")
      ->check(CLI::Range(std::size_t{1}, schedule::Pct::kMaxDepth))
      ->capture_default_str();
  app.add_option("--preemptions", preemptions_, "With exhaustive: at most this many in a schedule")
      ->check(CLI::Range(0, 8))
      ->capture_default_str();
  app.add_option(
         "--per-program", per_program_,
         "With --scheduler: schedules of every fourth program invented (with --resume of every one); of "
         "the others, and of those that fork or reopen, a sixteenth (exhaustive: all alike)")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--property", property_,
                 "With --scheduler: look only for what breaks this (lost-hit, ..., crashed, hung)");
  app.add_option(
      "--schedules", schedules_,
      "With --scheduler: end after this many, if the budget has not (with --resume: of each case)");
  app.add_option("--out", out_,
                 "With --scheduler: the folder for the counterexample's file (with --resume: for that of the "
                 "first of "
                 "each kind, in each job)")
      ->capture_default_str();
}

std::expected<RaceHuntOptions, Error> HuntRaces::options(const std::string& strategy,
                                                         std::size_t threads) const {
  const auto kind = scheduler_named(scheduler_);
  if (!kind ||
      (*kind != SchedulerKind::Random && *kind != SchedulerKind::Pct && *kind != SchedulerKind::Exhaustive))
    return std::unexpected(
        Error{ErrorKind::BadInput,
              {},
              fmt::format("no scheduler is called '{}': one is random, pct, exhaustive", scheduler_)});
  if (const auto known = program_properties();
      !property_.empty() && std::ranges::find(known, property_) == known.end())
    return std::unexpected(Error{
        ErrorKind::BadInput,
        {},
        fmt::format("no property is called '{}': --property is {}", property_, fmt::join(known, ", "))});
  if (!has_points(strategy))
    return std::unexpected(
        Error{ErrorKind::MachineLacks,
              {},
              fmt::format("{} has no schedule points: hunt in it without --scheduler", strategy)});
  if (const Status controlled = become_controlled(); !controlled)
    return std::unexpected(controlled.error());
  RaceHuntOptions o;
  o.bounds.strategy = strategy;
  o.bounds.max_threads = std::min(threads, kMaxProgramThreads);
  o.exploration.scheduler = *kind;
  o.exploration.schedules = per_program_;
  o.exploration.depth = depth_;
  o.exploration.preemptions = preemptions_;
  o.stop_after = schedules_;
  o.property = property_;
  return o;
}

std::expected<std::string, Error> HuntRaces::save(const Race& race, std::uint64_t seed) const {
  return save_race(out_, RaceFile{race.program, race.explored.schedule, race.runs, scheduler_, seed,
                                  proberace::to_json(race.explored.verdict), race.series, race.recurs});
}

Status HuntRaces::try_out() const {
  std::error_code none; // what cannot be made cannot be written to
  std::filesystem::create_directories(out_, none);
  if (const auto file = WholeFile::create(out_ + "/.race"); !file)
    return std::unexpected(file.error());
  return {};
}

Exit HuntRaces::run(RaceHuntOptions options, bool json, Progress& progress) const {
  const std::string& strategy = options.bounds.strategy;
  if (const Status usable = try_out(); !usable)
    return fail(usable.error());
  start_nursery();
  options.progress = [&](const RaceReport& r) {
    progress.show(fmt::format("{}: {} programs, {} schedules{}", strategy, r.programs, r.schedules,
                              r.found ? fmt::format(", shrinking ({})", r.shrinks) : ""));
  };
  const RaceReport report = hunt_races(options);
  if (!report.found && report.hits == 0 && report.refused)
    return fail(why_not_run(*report.refused));
  const auto saved = report.found ? save(*report.found, options.seed) : std::string();
  if (json)
    fmt::print("{}\n", to_json(report, strategy, options.exploration, saved.value_or("")).dump(2));
  else
    print(report, strategy, options.exploration, saved.value_or("(no file)"));
  if (!saved)
    return fail(saved.error());
  return report.found ? Exit::Counterexample : Exit::Held;
}

Json HuntRaces::campaign(const RaceHuntOptions& options) const {
  return Json{{"strategy", options.bounds.strategy},
              {"scheduler", scheduler_},
              {"depth", depth_},
              {"preemptions", preemptions_},
              {"schedules", per_program_},
              {"threads", options.bounds.max_threads},
              {"stop_after", schedules_},
              {"property", property_}};
}

std::expected<Json, Error> HuntRaces::run_case(RaceHuntOptions options, bool keep_all) const {
  options.programs = 1;
  const RaceReport report = hunt_races(options);
  if (!report.found && report.refused && report.refused->is(Ending::Skipped)) // and so will all others be
    return std::unexpected(why_not_run(*report.refused));
  Json line{{"seed", options.seed},
            {"schedules", report.schedules},
            {"steps", report.steps},
            {"threads", report.threads},
            {"most_choices", report.most_choices},
            {"knowing", report.knowing},
            {"exhausted", report.exhausted != 0},
            {"refused", report.refusals != 0 && !report.found},
            {"broken", report.found.has_value()}};
  line.update(report.json());
  if (report.refused)
    line["summary"] = report.refused->summary;
  if (!report.found)
    return line;
  const Verdict& verdict = report.found->explored.verdict;
  line["property"] = what_broke(verdict);
  line["summary"] = verdict.summary;
  line["recurs"] = report.found->recurs;
  if (!keep_all && !report.shrunk && report.found->recurs) // of a kind that was found before
    return line;
  const auto saved = save(*report.found, options.seed);
  if (!saved)
    return std::unexpected(saved.error());
  line["file"] = *saved;
  return line;
}

} // namespace proberace
