// proberace mutants: builds each seeded bug (stress/mutants/) and hunts it, as it would hunt in any strategy: under
// control, then with single instructions and sequences, each mutant on a CPU of its own; and those that were missed in
// free runs, one after the other, on all CPUs.
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/machine/pin_plan.h"
#include "harness/result/table.h"
#include "stress/cli/mutant_hunts.h"
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
        app.add_option("--scheduler", hunt_.scheduler, "random, pct, exhaustive")->capture_default_str();
    app.add_option("--budget", hunt_.budget_ms,
                   "How long to hunt each, builds and shrinking aside: two fifths of it under control, one "
                   "with single "
                   "instructions and sequences (isa, sequences), two in free runs (with --long: each way)")
        ->transform(duration_in_milliseconds());
    app.add_option("--jobs", jobs_,
                   "Hunts at once, each on a CPU of its own (with --long: those under control)")
        ->check(CLI::Range(1, 1024));
    auto* const seed =
        app.add_option("--seed", hunt_.seed, "Of the hunts")->check(number_from(0))->capture_default_str();
    auto* const out = app.add_option("--out", hunt_.out, "The folder for the counterexamples' files")
                          ->capture_default_str();
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
      return run_trials(mutants, {seeds_, std::chrono::milliseconds(hunt_.budget_ms), jobs(), resume_}, json_,
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
        hunt_mutant(mutants[i], MutantWay::Free, hunt_, "", hunted[i]);
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
    Hunted hunted{"missed"};
    for (const MutantWay way : kAlone)
      if (hunted.verdict == "missed")
        hunt_mutant(mutant, way, hunt_, on, hunted);
    return hunted;
  }

  void report(const std::vector<Mutant>& mutants, const std::vector<Hunted>& hunted) const {
    Json rows = Json::array();
    Table table({"mutant", "hazards", "strategy", "verdict", "by", "way", "schedules", "cases", "free runs",
                 "steps", "replayed", "seconds"},
                {false, false, false, false, false, false, true, true, true, true, true, true});
    for (std::size_t i = 0; i < mutants.size(); ++i) {
      const Mutant& m = mutants[i];
      const Hunted& h = hunted[i];
      const bool caught = h.verdict == "caught";
      table.add(
          {m.name, m.hazards, m.strategy, h.verdict, h.property, h.way, std::to_string(h.schedules),
           h.cases != 0 ? std::to_string(h.cases) : "", h.scenarios != 0 ? std::to_string(h.scenarios) : "",
           h.steps != 0 ? std::to_string(h.steps) : "",
           caught ? fmt::format("{}/{}", h.replayed, h.replays) : "", fmt::format("{:.1f}", h.seconds)});
      rows.push_back(Json{{"mutant", m.name},
                          {"hazards", m.hazards},
                          {"strategy", m.strategy},
                          {"way", h.way},
                          {"seed", hunt_.seed},
                          {"verdict", h.verdict},
                          {"expected", m.expected},
                          {"property", h.property},
                          {"summary", h.summary},
                          {"schedules", h.schedules},
                          {"scenarios", h.scenarios},
                          {"cases", h.cases},
                          {"steps", h.steps},
                          {"replayed", h.replayed},
                          {"replays", h.replays},
                          {"seconds", h.seconds},
                          {"file", h.file}});
    }
    if (json_)
      fmt::print("{}\n", Json{{"schema", "proberace/mutants/2"}, {"rows", std::move(rows)}}.dump(2));
    else
      fmt::print("{}", table.text());
  }

  std::vector<std::string> only_, patches_;
  std::string strategy_;
  MutantHunt hunt_{.out = std::string(PROBERACE_BUILD) + "/mutants/races"};
  unsigned jobs_ = 0;
  bool long_ = false;
  std::size_t seeds_ = 10;
  std::string resume_ = std::string(PROBERACE_BUILD) + "/mutants/trials";
  bool json_ = false;
  Progress progress_;
};

const bool mutants_registered = register_command([] { return std::make_unique<Mutants>(); });

} // namespace

} // namespace proberace
