// proberace hunt: invents multithreaded histories until one breaks a strategy, or the budget is spent.
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/cli/controlled_build.h"
#include "stress/cli/hunt_races.h"
#include "stress/cli/long_hunt.h"
#include "stress/hunt/hunter.h"

#include <fmt/format.h>
#include <random>
#include <set>

namespace proberace {

namespace {

constexpr std::size_t kCellThreads = 32;
constexpr std::chrono::seconds kLongestCase{60}; // of a long hunt

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

Json to_json(const HuntReport& r, const std::string& strategy) {
  Json j{{"schema", "proberace/hunt/1"}, {"strategy", strategy}, {"seed", r.seed}, {"cells", r.cells},
         {"shrinks", r.shrinks},         {"skipped", r.skipped}};
  j.update(r.json());
  j["counterexample"] = nullptr;
  if (r.found)
    j["counterexample"] = Json{{"cell", Json::parse(to_cell(r.found->history).line())},
                               {"verdict", proberace::to_json(r.found->verdict)}};
  return j;
}

void print_history(const History& h) {
  fmt::print("  {} worker{} ({}), bodies:", h.threads, h.threads == 1 ? "" : "s", h.plan);
  for (std::size_t i = 0; i < h.bodies.size(); ++i)
    fmt::print(" {}={}@page{}", i, h.bodies[i].body, h.bodies[i].page);
  fmt::print("\n");
  const Json cell = Json::parse(to_cell(h).line());
  for (std::size_t c = 0; c < h.controllers.size(); ++c)
    fmt::print("  controller {}, {} time{}: {}\n", c, h.rounds, h.rounds == 1 ? "" : "s",
               cell["controllers"][c].dump());
  if (h.churn != 0)
    fmt::print("  {} short-lived threads meanwhile\n", h.churn);
  if (h.jitter != 0)
    fmt::print("  workers idle for up to {} iterations between executions\n", h.jitter);
}

void print_counterexample(const BrokenHistory& found, bool promised) {
  const Verdict& v = found.verdict;
  fmt::print("\ncounterexample: {}{}\n  {}\n", name(v.ending),
             v.property.empty() ? "" : " (" + v.property + ")", v.summary);
  fmt::print("  {}\n",
             promised ? "the strategy promises exact counts: a broken promise"
                      : "the strategy does not promise exact counts with threads: a finding, not a surprise");
  print_history(found.history);
  if (!v.evidence.is_null())
    fmt::print("  evidence: {}\n", v.evidence.dump());
  fmt::print("  again: proberace hunt --cell '{}'\n", to_cell(found.history).line());
}

class Hunt final : public Command {
public:
  std::string name() const override { return "hunt"; }
  std::string summary() const override {
    return "Invent multithreaded histories until one breaks a strategy";
  }
  std::string example() const override {
    return "proberace hunt --strategy pte-swap+xol-vma --threads 4 --budget 60s";
  }

  void declare(CLI::App& app) override {
    app.add_option("--strategy", bounds_.strategy, "The strategy to hunt in (proberace list)");
    app.add_option("--threads", bounds_.max_threads, "At most this many workers")
        ->check(CLI::Range(std::size_t{1}, kCellThreads))
        ->capture_default_str();
    app.add_option("--plan", bounds_.plan, "Pin plan (proberace list)")->capture_default_str();
    app.add_option("--budget", budget_ms_, "How long to hunt")->transform(duration_in_milliseconds());
    app.add_option("--seed", seed_, "Invent the histories of an earlier hunt again");
    app.add_option("--cell", cell_, "Run one cell again from its line, instead of hunting");
    app.add_option("--log", log_,
                   "With --cell: also log every hit and execution to this new file (proberace log)");
    app.add_flag("--as-found", as_found_,
                 "Do not shrink what breaks (with --resume and --scheduler: and keep a file of each)");
    app.add_flag("--json", json_, "Print JSON");
    long_.declare(app);
    races_.declare(app);
  }

  Exit run() override {
    if (cell_)
      return run_again();
    if (log_)
      return fail(Error{ErrorKind::BadInput, {}, "--log goes with --cell (or see `proberace log record`)"});
    if (bounds_.strategy.empty())
      return fail(Error{ErrorKind::BadInput, {}, "hunt needs --strategy (see `proberace list`)"});
    const auto prober = make_prober(bounds_.strategy);
    if (!prober)
      return fail(prober.error());
    if (const Status possible = long_.check(seed_); !possible)
      return fail(possible.error());
    if (races_.asked())
      return hunt_controlled();
    if (const auto plan = make_pin_plan(bounds_.plan, bounds_.max_threads); !plan)
      return fail(plan.error());
    if (long_.asked())
      return long_.run(
          Json{{"strategy", bounds_.strategy}, {"plan", bounds_.plan}, {"threads", bounds_.max_threads}},
          [this](std::uint64_t seed) { return run_case(seed); }, budget(), false, json_, progress_);
    start_nursery();
    const HuntReport report = hunt(options());
    if (!report.found && report.hits == 0 && report.refused) // nothing was tested
      return fail(why_not_run(*report.refused));
    const bool promised = (*prober)->promises().has(Promise::ExactCounts);
    if (json_)
      fmt::print("{}\n", to_json(report, bounds_.strategy).dump(2));
    else
      print(report, promised);
    if (report.found)
      return Exit::Counterexample;
    return Exit::Held;
  }

private:
  std::chrono::milliseconds budget() const { return std::chrono::milliseconds(budget_ms_); }

  Exit hunt_controlled() {
    auto options = races_.options(bounds_.strategy, bounds_.max_threads);
    if (!options)
      return fail(options.error());
    options->worth_shrinking = worth_shrinking();
    options->budget = options->exploration.budget = long_.asked() ? kLongestCase : budget();
    if (!long_.asked()) {
      options->seed = seed_.value_or(std::random_device{}());
      return races_.run(std::move(*options), json_, progress_);
    }
    if (const Status usable = races_.try_out(); !usable)
      return fail(usable.error());
    return long_.run(
        races_.campaign(*options),
        [this, &options](std::uint64_t seed) {
          options->seed = seed;
          return races_.run_case(*options, as_found_);
        },
        budget(), true, json_, progress_);
  }

  std::expected<Json, Error> run_case(std::uint64_t seed) {
    HuntOptions o = options();
    o.progress = {};
    o.budget = kLongestCase;
    o.seed = seed;
    o.stop_after = 1;
    const HuntReport report = hunt(o);
    if (!report.found && report.refused && report.refused->is(Ending::Skipped)) // and so will all others be
      return std::unexpected(why_not_run(*report.refused));
    Json line{
        {"seed", seed}, {"refused", report.refused && !report.found}, {"broken", report.found.has_value()}};
    line.update(report.json());
    if (report.refused)
      line["summary"] = report.refused->summary;
    if (report.found) {
      line["property"] = what_broke(report.found->verdict);
      line["summary"] = report.found->verdict.summary;
      line["cell"] = Json::parse(to_cell(report.found->history).line());
    }
    return line;
  }

  // Of a long hunt's cases only the first that breaks in a way, in each process.
  std::function<bool(const Verdict&)> worth_shrinking() {
    return [this](const Verdict& v) {
      return !as_found_ && (!long_.asked() || kinds_seen_.insert(what_broke(v)).second);
    };
  }

  HuntOptions options() {
    HuntOptions o;
    o.bounds = bounds_;
    o.worth_shrinking = worth_shrinking();
    o.budget = std::chrono::milliseconds(budget_ms_);
    o.seed = seed_.value_or(std::random_device{}());
    o.progress = [this](const HuntReport& r) {
      progress_.show(fmt::format("{}: {} cells, {} executions, {} hits{}", bounds_.strategy, r.cells,
                                 r.executions, r.hits,
                                 r.found ? fmt::format(", shrinking ({})", r.shrinks) : ""));
    };
    return o;
  }

  void print(const HuntReport& r, bool promised) const {
    fmt::print("{}: {} after {} histories, {} executions, {} insertions, {} removals, {} hits (seed {})\n",
               bounds_.strategy, r.found ? "BROKEN" : "held", r.cells, r.executions, r.inserted, r.removed,
               r.hits, r.seed);
    fmt::print("  of the executions {:.1f} % must count, {:.1f} % must not, {:.1f} % may (they overlapped an "
               "operation);\n"
               "  {:.1f} % of the hits are of executions that must count\n",
               share(r.must, r.executions), share(r.must_not, r.executions), share(r.may, r.executions),
               share(std::min(r.must, r.hits), r.hits));
    if (r.skipped != 0)
      fmt::print("  {} histories skipped\n", r.skipped);
    if (r.found)
      print_counterexample(*r.found, promised);
  }

  Exit run_again() {
    auto spec = parse_cell(*cell_);
    if (!spec)
      return fail(Error{ErrorKind::BadInput, {}, "--cell: " + spec.error()});
    if (log_ && spec->experiment != "history")
      return fail(Error{ErrorKind::BadInput, {}, "--log: only cells of the experiment 'history' are logged"});
    if (log_)
      spec->parameters["log"] = *log_;
    if (spec->experiment == "controlled")
      if (const Status controlled = become_controlled(); !controlled)
        return fail(controlled.error());
    start_nursery();
    const Verdict verdict = run_cell(*spec);
    fmt::print("{}\n", json_ ? proberace::to_json(verdict).dump(2)
                             : fmt::format("{}: {}\n{}", proberace::name(verdict.ending), verdict.summary,
                                           verdict.evidence.dump(2)));
    switch (verdict.ending) {
    case Ending::Held: return Exit::Held;
    case Ending::Refused: return Exit::BadUsage;
    case Ending::Skipped: return Exit::MachineLacks;
    default: return Exit::Counterexample;
    }
  }

  HistoryBounds bounds_;
  long budget_ms_ = 10'000;
  std::optional<std::uint64_t> seed_;
  std::optional<std::string> cell_;
  std::optional<std::string> log_;
  bool as_found_ = false;
  bool json_ = false;
  HuntRaces races_;
  LongHunt long_;
  std::set<std::string> kinds_seen_; // of counterexamples
  Progress progress_;
};

const bool hunt_registered = register_command([] { return std::make_unique<Hunt>(); });

} // namespace

} // namespace proberace
