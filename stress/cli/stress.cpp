// proberace stress: how often free runs end in each way, by pin plan and rate of arming. A hunt asks whether there is a
// failure, and ends at the first; this counts them all, in the manner of litmus7.
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "harness/result/table.h"
#include "stress/hunt/scenario_replay.h"
#include "stress/scenario/explore.h"
#include "stress/scenario/outcomes.h"

#include <chrono>
#include <fmt/format.h>
#include <set>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

class Stress final : public Command {
public:
  std::string name() const override { return "stress"; }
  std::string summary() const override { return "Count how free runs end, by pin plan and rate of arming"; }
  std::string example() const override { return "proberace stress --strategy poke+xol-boost --budget 5min"; }

  void declare(CLI::App& app) override {
    app.add_option("--strategy", strategy_, "The strategy (proberace list)")->required();
    app.add_option("--threads", threads_, "Threads that execute the probed code")
        ->check(CLI::Range(std::size_t{1}, kMaxWorkers))
        ->capture_default_str();
    app.add_option("--plan", plans_, "Only this pin plan; may be repeated (proberace list)");
    app.add_option("--toggle", toggles_,
                   "Executions between arming and clearing all sites; may be repeated, for several rates")
        ->check(number_from(1))
        ->capture_default_str();
    app.add_option("--budget", budget_ms_, "How long, over all conditions (10s if not given)")
        ->transform(duration_in_milliseconds());
    app.add_option("--runs", runs_, "End after so many runs of each condition, if the budget has not")
        ->check(number_from(1));
    app.add_option("--out", out_, "Folder for counterexamples' files")->capture_default_str();
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    if (const auto prober = make_prober(strategy_); !prober)
      return fail(prober.error());
    const auto conditions = all_conditions();
    if (!conditions)
      return fail(conditions.error());
    if (const Status possible = can_save_to(out_); !possible)
      return fail(possible.error());
    start_nursery();
    std::vector<Outcomes> outcomes(conditions->size());
    const auto until = Clock::now() + std::chrono::milliseconds(budget_ms_);
    for (std::size_t run = 0; Clock::now() < until && (runs_ == 0 || run < runs_); ++run)
      for (std::size_t c = 0; c < conditions->size() && Clock::now() < until; ++c) {
        const Scenario scenario = stress_scenario(strategy_, threads_, (*conditions)[c], run);
        outcomes[c].add(scenario, run_free(scenario).verdict);
        progress_.show(
            fmt::format("{}: {} runs of each of {} conditions", strategy_, run, conditions->size()));
      }
    return report(*conditions, outcomes);
  }

private:
  // Every plan that this machine has, or those named; each at every rate.
  std::expected<std::vector<StressCondition>, Error> all_conditions() {
    std::vector<StressCondition> conditions;
    std::vector<std::string> plans = plans_;
    if (plans.empty())
      for (const PinPlanText& plan : pin_plans())
        plans.emplace_back(plan.name);
    for (const std::string& plan : plans) {
      if (const auto made = make_pin_plan(plan, threads_); !made) {
        if (!plans_.empty() || made.error().kind != ErrorKind::MachineLacks)
          return std::unexpected(made.error());
        lacking_.push_back(fmt::format("{}: {}", plan, made.error().message));
        continue;
      }
      for (const std::size_t toggle : toggles_)
        conditions.push_back({plan, toggle});
    }
    return conditions;
  }

  Exit report(const std::vector<StressCondition>& conditions, const std::vector<Outcomes>& outcomes) const {
    Outcomes all;
    std::set<std::string> seen{"held"};
    std::map<std::string, std::string> files; // the first of each outcome
    Json rows = Json::array();
    for (std::size_t c = 0; c < conditions.size(); ++c) {
      const Outcomes& o = outcomes[c];
      for (const auto& [outcome, count] : o.counts) {
        seen.insert(outcome);
        all.counts[outcome] += count;
      }
      all.examples.insert(o.examples.begin(), o.examples.end());
      all.executions += o.executions;
      all.hits += o.hits;
      if (!all.not_run)
        all.not_run = o.not_run;
      Json examples = Json::object(); // files, by outcome
      for (const auto& [outcome, example] : o.examples) {
        auto file = save_example(example);
        if (!file)
          return fail(file.error());
        examples[outcome] = *file;
        files.try_emplace(outcome, *file);
      }
      rows.push_back(Json{{"plan", conditions[c].plan},
                          {"toggle", conditions[c].toggle},
                          {"outcomes", o.counts},
                          {"executions", o.executions},
                          {"hits", o.hits},
                          {"examples", std::move(examples)}});
    }
    if (all.hits == 0 && all.counterexamples() == 0 && all.not_run)
      return fail(why_not_run(*all.not_run));
    if (json_)
      fmt::print("{}\n", Json{{"schema", "proberace/stress/1"},
                              {"strategy", strategy_},
                              {"threads", threads_},
                              {"skipped", lacking_},
                              {"rows", std::move(rows)}}
                             .dump(2));
    else
      print(conditions, outcomes, seen, files);
    return all.counterexamples() != 0 ? Exit::Counterexample : Exit::Held;
  }

  void print(const std::vector<StressCondition>& conditions, const std::vector<Outcomes>& outcomes,
             const std::set<std::string>& seen, const std::map<std::string, std::string>& files) const {
    std::vector<std::string> header{"plan", "toggled every"};
    header.insert(header.end(), seen.begin(), seen.end());
    header.emplace_back("executions");
    header.emplace_back("hits");
    std::vector<bool> right(header.size(), true);
    right[0] = false;
    Table table(header, right);
    for (std::size_t c = 0; c < conditions.size(); ++c) {
      std::vector<std::string> row{conditions[c].plan, std::to_string(conditions[c].toggle)};
      for (const std::string& outcome : seen) {
        const auto count = outcomes[c].counts.find(outcome);
        row.push_back(count == outcomes[c].counts.end() ? "" : std::to_string(count->second));
      }
      row.push_back(std::to_string(outcomes[c].executions));
      row.push_back(std::to_string(outcomes[c].hits));
      table.add(std::move(row));
    }
    fmt::print("{}: {} threads, runs by outcome\n{}", strategy_, threads_, table.text());
    for (const std::string& plan : lacking_)
      fmt::print("skipped: {}\n", plan);
    for (const auto& [outcome, file] : files)
      fmt::print("{}: again: proberace replay {}\n", outcome, file);
  }

  std::expected<std::string, Error> save_example(const std::pair<Scenario, Verdict>& example) const {
    ScenarioFailure failure{example.first, {}};
    failure.explored.verdict = example.second;
    return save(out_, counterexample_of(failure, true, 0));
  }

  std::string strategy_;
  std::string out_ = ".";
  std::size_t threads_ = 4;
  std::vector<std::string> plans_;
  std::vector<std::size_t> toggles_{10, 100, 1000};
  long budget_ms_ = 10'000;
  std::size_t runs_ = 0;
  bool json_ = false;
  std::vector<std::string> lacking_; // plans that this machine does not have
  Progress progress_;
};

const bool stress_registered = register_command([] { return std::make_unique<Stress>(); });

} // namespace

} // namespace proberace
