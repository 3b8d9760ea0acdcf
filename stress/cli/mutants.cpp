// proberace mutants: builds each seeded bug (stress/mutants/) and hunts it, as it would hunt in any strategy: under
// control, each on a CPU of its own, and then those that were missed in free runs, one after the other, on all CPUs.
#include "harness/base/shell.h"
#include "harness/cell/endings.h"
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/machine/pin_plan.h"
#include "harness/result/table.h"
#include "stress/cli/mutant_set.h"
#include "stress/cli/mutant_trials.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <mutex>
#include <thread>

namespace proberace {

namespace {

constexpr int kReplays = 100;
constexpr int kFreeReplays = 10;         // which show a race now and then
constexpr double kControlledShare = 0.6; // of the budget

struct Hunted {
  std::string verdict; // caught, missed, not observable, does not build
  std::string property{}, summary{}, file{};
  std::string scheduler{};                    // that caught it, or the last that was tried
  std::uint64_t schedules = 0, scenarios = 0; // scenarios: of free runs
  std::size_t steps = 0;
  int replayed = 0, replays = 0;
  double seconds = 0;
};

class Mutants final : public Command {
public:
  std::string name() const override { return "mutants"; }
  std::string summary() const override { return "Hunt seeded bugs, to know what the hunter is worth"; }
  std::string example() const override { return "proberace mutants --only no-quiescence"; }

  void declare(CLI::App& app) override {
    app.add_option("--only", only_, "Only this one; may be repeated");
    app.add_option("--patch", patches_, "Hunt this patch, which is not in stress/mutants; may be repeated");
    app.add_option("--strategy", strategy_, "With --patch: where a patch has no line 'Strategy: NAME'");
    auto* const scheduler =
        app.add_option("--scheduler", scheduler_, "random, pct, exhaustive")->capture_default_str();
    app.add_option("--budget", budget_ms_,
                   "How long to hunt each, builds and shrinking aside: 3/5 under control, the rest in free "
                   "runs (with "
                   "--long: each way)")
        ->transform(duration_in_milliseconds());
    app.add_option("--jobs", jobs_,
                   "Hunts at once, each on a CPU of its own (with --long: those under control)")
        ->check(CLI::Range(1, 1024));
    auto* const seed =
        app.add_option("--seed", seed_, "Of the hunts")->check(number_from(0))->capture_default_str();
    auto* const out =
        app.add_option("--out", out_, "The folder for the counterexamples' files")->capture_default_str();
    app.add_flag("--long", long_, "Compare stress, random, pct and exhaustive, each with many seeds")
        ->excludes(scheduler, seed, out);
    app.add_option("--seeds", seeds_, "With --long: hunts of each mutant in each way")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    app.add_option("--resume", resume_,
                   "With --long: keep finished hunts in this directory, and go on with what it has")
        ->capture_default_str();
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    std::vector<Mutant> mutants = all_mutants();
    if (mutants.empty())
      return fail(Error{ErrorKind::MachineLacks,
                        {},
                        "the mutants' patches and build folder are not here: run it "
                        "where the program was built"});
    for (const std::string& wanted : only_)
      if (std::ranges::find(mutants, wanted, &Mutant::name) == mutants.end())
        return fail(Error{
            ErrorKind::BadInput, {}, fmt::format("no mutant is called '{}': see stress/mutants", wanted)});
    if (!only_.empty() || !patches_.empty())
      std::erase_if(mutants,
                    [&](const Mutant& m) { return std::ranges::find(only_, m.name) == only_.end(); });
    forget_patches(); // of a run that was killed
    for (const std::string& file : patches_) {
      auto mutant = take_patch(file, strategy_);
      if (!mutant)
        return fail(mutant.error());
      if (std::ranges::find(mutants, mutant->name, &Mutant::name) != mutants.end())
        return fail(Error{ErrorKind::BadInput, {}, fmt::format("{}: another patch has its name", file)});
      mutants.push_back(std::move(*mutant));
    }
    progress_.show(fmt::format("building {} mutants", mutants.size()));
    build(mutants);
    forget_patches();
    if (long_)
      return run_trials(mutants, {seeds_, std::chrono::milliseconds(budget_ms_), jobs(), resume_}, json_,
                        progress_);
    const std::vector<Hunted> hunted = hunt_all(mutants);
    report(mutants, hunted);
    const bool missed = std::ranges::any_of(
        hunted, [](const Hunted& h) { return h.verdict != "caught" && h.verdict != Mutant::kNotObservable; });
    return missed ? Exit::Counterexample : Exit::Held;
  }

private:
  std::vector<Hunted> hunt_all(const std::vector<Mutant>& mutants) {
    std::vector<Hunted> hunted(mutants.size());
    std::atomic<std::size_t> next{0};
    std::size_t done = 0;
    std::mutex mutex; // guards done and the progress line
    const auto work = [&](const std::string& on) {
      for (std::size_t i = next.fetch_add(1); i < mutants.size(); i = next.fetch_add(1)) {
        hunted[i] = hunt_one(mutants[i], on);
        const std::lock_guard lock(mutex);
        progress_.show(fmt::format("{} of {} mutants", ++done, mutants.size()));
      }
    };
    const std::vector<int> cpus = allowed_cpus();
    std::vector<std::thread> threads;
    for (unsigned j = 0; j < jobs(); ++j)
      threads.emplace_back(work, cpus.empty() ? "" : fmt::format("taskset -c {} ", cpus[j % cpus.size()]));
    for (std::thread& t : threads)
      t.join();
    for (std::size_t i = 0; i < mutants.size(); ++i)
      if (hunted[i].verdict == "missed") {
        progress_.show(fmt::format("{} in free runs", mutants[i].name));
        hunt(mutants[i], "", kFree, hunted[i]);
      }
    for (std::size_t i = 0; i < mutants.size(); ++i)
      if (hunted[i].verdict == "missed" && !mutants[i].observable())
        hunted[i].verdict = Mutant::kNotObservable;
    return hunted;
  }

  unsigned jobs() const { return jobs_ != 0 ? jobs_ : std::max(1U, std::thread::hardware_concurrency()); }

  Hunted hunt_one(const Mutant& mutant, const std::string& on) const {
    if (!std::filesystem::exists(mutant.program()))
      return {"does not build",
              {},
              fmt::format("cmake --build {} --target mutant-{} says why", PROBERACE_BUILD, mutant.name)};
    Hunted hunted;
    hunt(mutant, on, scheduler_, hunted);
    return hunted;
  }

  // Adds to what is known of it.
  void hunt(const Mutant& mutant, const std::string& on, const std::string& scheduler, Hunted& h) const {
    const auto began = std::chrono::steady_clock::now();
    const std::string program = mutant.program();
    const bool free = scheduler == kFree;
    const double share = free ? 1 - kControlledShare : kControlledShare;
    const Outcome o = run_shell(fmt::format("{}{} hunt --strategy '{}' --scheduler {} --seed {} --budget "
                                            "{:.0f}ms --per-scenario {} --json --out {} "
                                            "2>/dev/null",
                                            on, program, mutant.strategy, scheduler, seed_,
                                            static_cast<double>(budget_ms_) * share, kSchedulesPerScenario,
                                            folder_of(mutant)));
    const Json hunt = Json::parse(o.out, nullptr, false);
    h.verdict = hunt.is_object() ? "missed" : "not hunted";
    h.scheduler = scheduler;
    if (hunt.is_object()) {
      h.schedules += hunt.value("schedules", std::uint64_t{0});
      h.scenarios += free ? hunt.value("scenarios", std::uint64_t{0}) : 0;
      if (const Json found = hunt.value("counterexample", Json()); found.is_object()) {
        const Json& verdict = found.at("verdict");
        h.verdict = "caught";
        h.property = what_broke(verdict);
        h.summary = verdict.value("summary", std::string());
        h.file = found.at("file");
        h.steps = found.value("steps", std::size_t{0});
        h.replays = free ? kFreeReplays : kReplays;
        const Outcome again = run_shell(
            fmt::format("{}{} replay '{}' --times {} --json 2>/dev/null", on, program, h.file, h.replays));
        if (const Json replay = Json::parse(again.out, nullptr, false); replay.is_object())
          h.replayed = replay.value("reproduced", 0);
      }
    }
    h.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }

  std::string folder_of(const Mutant& mutant) const { return fmt::format("{}/{}", out_, mutant.name); }

  void report(const std::vector<Mutant>& mutants, const std::vector<Hunted>& hunted) const {
    Json rows = Json::array();
    Table table({"mutant", "hazards", "strategy", "verdict", "by", "scheduler", "schedules", "free runs",
                 "steps", "replayed", "seconds"},
                {false, false, false, false, false, false, true, true, true, true, true});
    for (std::size_t i = 0; i < mutants.size(); ++i) {
      const Mutant& m = mutants[i];
      const Hunted& h = hunted[i];
      const bool caught = h.verdict == "caught";
      table.add(
          {m.name, m.hazards, m.strategy, h.verdict, h.property, h.scheduler, std::to_string(h.schedules),
           h.scenarios != 0 ? std::to_string(h.scenarios) : "", h.steps != 0 ? std::to_string(h.steps) : "",
           caught ? fmt::format("{}/{}", h.replayed, h.replays) : "", fmt::format("{:.1f}", h.seconds)});
      rows.push_back(Json{{"mutant", m.name},
                          {"hazards", m.hazards},
                          {"strategy", m.strategy},
                          {"scheduler", h.scheduler},
                          {"seed", seed_},
                          {"verdict", h.verdict},
                          {"expected", m.expected},
                          {"property", h.property},
                          {"summary", h.summary},
                          {"schedules", h.schedules},
                          {"scenarios", h.scenarios},
                          {"steps", h.steps},
                          {"replayed", h.replayed},
                          {"replays", h.replays},
                          {"seconds", h.seconds},
                          {"file", h.file}});
    }
    if (json_)
      fmt::print("{}\n", Json{{"schema", "proberace/mutants/1"}, {"rows", std::move(rows)}}.dump(2));
    else
      fmt::print("{}", table.text());
  }

  static constexpr const char* kFree = "free";
  std::vector<std::string> only_, patches_;
  std::string strategy_;
  std::string scheduler_ = "random";
  std::string out_ = std::string(PROBERACE_BUILD) + "/mutants/races";
  long budget_ms_ = 20'000;
  unsigned jobs_ = 0;
  bool long_ = false;
  std::size_t seeds_ = 10;
  std::string resume_ = std::string(PROBERACE_BUILD) + "/mutants/trials";
  std::uint64_t seed_ = 1;
  bool json_ = false;
  Progress progress_;
};

const bool mutants_registered = register_command([] { return std::make_unique<Mutants>(); });

} // namespace

} // namespace proberace
