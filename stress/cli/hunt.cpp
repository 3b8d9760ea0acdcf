// proberace hunt: invents scenarios until one breaks a strategy, or the budget is spent.
#include "harness/base/read_file.h"
#include "harness/cell/cell.h"
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/cli/controlled_build.h"
#include "stress/cli/hunt_report.h"
#include "stress/cli/long_hunt.h"
#include "stress/hunt/scenario_replay.h"
#include "stress/scenario/broken_properties.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <random>
#include <set>

namespace proberace {

namespace {

constexpr std::size_t kMostWorkers = 32;         // that a free scenario is invented with
constexpr std::chrono::seconds kLongestCase{60}; // of a long hunt

std::unexpected<Error> bad(std::string message) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, std::move(message)});
}

std::vector<std::string> offered_schedulers() {
  std::vector<std::string> names;
  for (const SchedulerRow& row : kSchedulers)
    if (row.offered)
      names.emplace_back(row.name);
  return names;
}

// A scenario's text, or the name of a file that has it; "-" for standard input.
std::expected<Scenario, Error> read_scenario(const std::string& given) {
  if (given.find('\n') != std::string::npos)
    return scenario_from_text(given);
  const auto text = read_file(given);
  if (!text)
    return bad(
        fmt::format("--scenario {}; give a file, '-', or the lines of a scenario", text.error().message));
  return scenario_from_text(*text);
}

class Hunt final : public Command {
public:
  std::string name() const override { return "hunt"; }
  std::string summary() const override {
    return "Invent multithreaded scenarios until one breaks a strategy";
  }
  std::string example() const override {
    return "proberace hunt --strategy pte-swap+xol-vma --threads 4 --budget 60s";
  }

  void declare(CLI::App& app) override {
    app.add_option("--strategy", strategy_, "The strategy to hunt in (proberace list)");
    app.add_option(
           "--scheduler", scheduler_,
           fmt::format(
               "Who decides which thread runs next: {}. 'free' leaves it to the kernel; the others run "
               "one thread at a time, between named points of the strategy",
               fmt::join(offered_schedulers(), ", ")))
        ->capture_default_str();
    app.add_option("--threads", threads_,
                   "Threads of a scenario, at most; with 'free': those that execute probed code")
        ->check(CLI::Range(std::size_t{1}, kMostWorkers))
        ->capture_default_str();
    app.add_option("--plan", plan_, "With 'free': where threads are pinned (proberace list)")
        ->capture_default_str();
    app.add_option("--budget", budget_ms_, "How long to hunt (10s if not given)")
        ->transform(duration_in_milliseconds());
    app.add_option("--seed", seed_, "Invent the scenarios of an earlier hunt again")->check(number_from(0));
    app.add_flag("--promised", promised_,
                 "Leave out signals whose handlers hit, where the strategy does not promise to bear them");
    app.add_option("--property", property_,
                   "Look only for failures of this one (lost-hit, crashed, hung, ...)");
    app.add_option("--out", out_, "Folder for the counterexample's file")->capture_default_str();
    app.add_option("--scenario", given_, "Hunt in this scenario: a file, '-', or its lines (see below)");
    app.add_option("--depth", depth_,
                   "With pct: the depth of the bugs to find; it lowers a thread DEPTH-1 times")
        ->check(CLI::Range(std::size_t{1}, schedule::Pct::kMaxDepth))
        ->capture_default_str();
    app.add_option("--preemptions", preemptions_, "With exhaustive: preemptions in a schedule, at most")
        ->check(CLI::Range(0, 8))
        ->capture_default_str();
    app.add_option("--per-scenario", per_scenario_,
                   "Schedules of every eighth scenario (with --resume: of every one). The others, and those "
                   "that fork, get a sixtieth")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    app.add_option("--schedules", schedules_, "End after so many schedules (with --resume: of each case)")
        ->check(number_from(1));
    app.add_flag("--as-found", as_found_,
                 "Do not shrink a counterexample (with --resume: and keep a file of each one)");
    app.add_option("--record", record_, "With --scenario: write the steps of each schedule to this file");
    app.add_option(
        "--log", log_,
        "With --scenario and 'free': log every execution and hit to this new file (proberace log)");
    app.add_flag("--json", json_, "Print JSON");
    long_.declare(app);
    app.footer(app.get_footer() +
               "\nA scenario has a line for each of these:\n"
               "  strategy poke+in-place\n"
               "  bodies A=mov B=push@1     # names of code to probe, on which page\n"
               "  armed A                   # before the threads start\n"
               "  thread 0: run A; insert B\n"
               "  thread 1 rounds 8 pinned: run A B until-done jitter 100\n"
               "Acts of threads:\n" +
               acts_help());
  }

  Exit run() override {
    if (const Status usable = prepare(); !usable)
      return fail(usable.error());
    if (const Status possible = can_save_to(out_); !possible)
      return fail(possible.error());
    return long_.asked() ? run_long() : run_once();
  }

private:
  bool is_free() const { return options_.exploration.is_free(); }

  // Becomes the program that has schedule points if need be, and checks what was asked.
  Status prepare() {
    if (const auto kind = named<SchedulerKind>(scheduler_);
        kind && kSchedulers[static_cast<std::size_t>(*kind)].offered)
      options_.exploration.scheduler = *kind;
    else
      return bad(fmt::format("no scheduler is called '{}': one is {}", scheduler_,
                             fmt::join(offered_schedulers(), ", ")));
    // Before a scenario is read, which may come through a pipe.
    if (const Status controlled = is_free() ? Status{} : become_controlled(); !controlled)
      return controlled;
    if (given_) {
      auto scenario = read_scenario(*given_);
      if (!scenario)
        return std::unexpected(scenario.error());
      if (!strategy_.empty())
        scenario->strategy = strategy_;
      strategy_ = scenario->strategy;
      options_.only = std::move(*scenario);
    }
    if (strategy_.empty())
      return bad("hunt needs --strategy or --scenario (see `proberace list`)");
    if (const Status strategy = check_strategy(); !strategy)
      return strategy;
    if (const auto known = broken_properties();
        !property_.empty() && std::ranges::find(known, property_) == known.end())
      return bad(
          fmt::format("no property is called '{}': --property is {}", property_, fmt::join(known, ", ")));
    if (!given_ && (!record_.empty() || !log_.empty()))
      return bad("--record and --log go with --scenario");
    if (!log_.empty() && !is_free())
      return bad("--log goes with --scheduler free; --record keeps the steps of a schedule");
    if (const Status possible = long_.check(seed_); !possible)
      return possible;
    return fill_options();
  }

  Status check_strategy() const {
    const auto prober = make_prober(strategy_);
    if (!prober)
      return std::unexpected(prober.error());
    if (!is_free() && !(*prober)->facts().schedulable)
      return std::unexpected(
          Error{ErrorKind::MachineLacks,
                {},
                fmt::format("{} has no schedule points: hunt with --scheduler free", strategy_)});
    return {};
  }

  Status fill_options() {
    Exploration& e = options_.exploration;
    e.depth = depth_;
    e.preemptions = preemptions_;
    e.record = record_;
    e.log = log_;
    e.schedules = per_scenario_;
    if (is_free()) {
      const auto plan = make_pin_plan(plan_, threads_);
      if (!plan)
        return std::unexpected(plan.error());
      options_.bounds = free_bounds(strategy_, plan->cpus.size()); // an oversubscribed plan takes more
      options_.bounds.plan = plan_;
      options_.bounds.min_threads = plan->cpus.size() - threads_ + 1; // and never few
    } else {
      options_.bounds = controlled_bounds(strategy_, threads_);
    }
    options_.bounds.promised = promised_;
    options_.property = property_;
    options_.stop_after = schedules_;
    options_.limits.budget = e.budget = long_.asked() ? kLongestCase : std::chrono::milliseconds(budget_ms_);
    options_.limits.seed = seed_.value_or(std::random_device{}());
    if (!log_.empty()) // it is of one run
      options_.limits.cases = 1;
    options_.worth_shrinking = [this](const Verdict& v) {
      return !as_found_ && !given_ && (!long_.asked() || kinds_seen_.insert(what_broke(v)).second);
    };
    return {};
  }

  Exit run_once() {
    start_nursery();
    options_.progress = [this](const ScenarioHuntReport& r) {
      progress_.show(fmt::format("{}: {} scenarios, {}{}", strategy_, r.scenarios,
                                 is_free() ? fmt::format("{} executions, {} hits", r.executions, r.hits)
                                           : fmt::format("{} schedules", r.schedules),
                                 r.shrinks != 0 ? fmt::format(", shrinking ({})", r.shrinks) : ""));
    };
    const ScenarioHuntReport report = hunt_scenarios(options_);
    if (report.tested_nothing())
      return fail(why_not_run(*report.refused));
    std::expected<std::string, Error> saved;
    if (report.found)
      saved = save(out_, counterexample_of(*report.found, is_free(), report.seed));
    fmt::print("{}{}",
               json_ ? to_json(report, options_, saved.value_or("")).dump(2)
                     : text_of(report, options_, saved.value_or("")),
               json_ ? "\n" : "");
    if (!saved)
      return fail(saved.error());
    return report.found ? Exit::Counterexample : Exit::Held;
  }

  Exit run_long() {
    Json campaign{{"strategy", strategy_}, {"threads", threads_}};
    if (promised_)
      campaign["promised"] = true;
    if (is_free())
      campaign["plan"] = plan_;
    else
      campaign.update(Json{{"scheduler", scheduler_},
                           {"depth", depth_},
                           {"preemptions", preemptions_},
                           {"schedules", per_scenario_},
                           {"stop_after", schedules_},
                           {"property", property_}});
    if (given_)
      campaign["scenario"] = to_json(*options_.only);
    options_.limits.cases = 1;
    return long_.run(
        std::move(campaign), [this](std::uint64_t seed) { return run_case(seed); },
        std::chrono::milliseconds(budget_ms_), !is_free(), json_, progress_);
  }

  // One case of a long hunt. Its counterexample is kept in a file if it is the first of its kind, or does not recur, or
  // all are kept.
  std::expected<Json, Error> run_case(std::uint64_t seed) {
    options_.limits.seed = seed;
    const ScenarioHuntReport r = hunt_scenarios(options_);
    if (!r.found && r.refused && r.refused->is(Ending::Skipped)) // and so will all others be
      return std::unexpected(why_not_run(*r.refused));
    Json line{{"seed", seed}};
    if (!is_free())
      line.update(Json{{"schedules", r.schedules},
                       {"steps", r.steps},
                       {"threads", r.threads},
                       {"most_choices", r.most_choices},
                       {"knowing", r.knowing},
                       {"exhausted", r.exhausted != 0}});
    line["refused"] = r.refusals != 0 && !r.found;
    line["broken"] = r.found.has_value();
    line.update(r.json());
    if (r.refused)
      line["summary"] = r.refused->summary;
    if (!r.found)
      return line;
    const Verdict& verdict = r.found->explored.verdict;
    line["property"] = what_broke(verdict);
    line["summary"] = verdict.summary;
    line["recurs"] = r.found->recurs;
    if (!as_found_ && !r.shrunk && r.found->recurs) // of a kind that was found before
      return line;
    const auto saved = save(out_, counterexample_of(*r.found, is_free(), seed));
    if (!saved)
      return std::unexpected(saved.error());
    line["file"] = *saved;
    return line;
  }

  std::string strategy_, plan_ = "across-cores", property_, out_ = ".", record_, log_;
  std::string scheduler_ = "free";
  std::optional<std::string> given_;
  std::size_t threads_ = 4, depth_ = 3, preemptions_ = 2, per_scenario_ = 500;
  std::uint64_t schedules_ = 0;
  long budget_ms_ = 10'000;
  std::optional<std::uint64_t> seed_;
  bool as_found_ = false, promised_ = false, json_ = false;
  LongHunt long_;
  ScenarioHuntOptions options_;
  std::set<std::string> kinds_seen_; // of counterexamples
  Progress progress_;
};

const bool hunt_registered = register_command([] { return std::make_unique<Hunt>(); });

} // namespace

} // namespace proberace
