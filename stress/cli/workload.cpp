// proberace workload: a library that checks its own results, while every instruction of it is probed.
#include "stress/workload/workload.h"

#include "harness/cli/progress.h"
#include "stress/cli/options.h"
#include "stress/cli/overall.h"
#include "stress/survey/survey.h"
#include "stress/workload/workload_counterexample.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

class RunWorkload final : public Command {
public:
  std::string name() const override { return "workload"; }
  std::string summary() const override {
    return "Probe every instruction of a library that checks its own results";
  }
  std::string example() const override {
    return "proberace workload zlib --strategy poke+xol-boost --subsets 1";
  }

  void declare(CLI::App& app) override {
    app.add_option("workload", workloads_,
                   fmt::format("A shared library of yours (stress/workload/workload.h says what it exports), "
                               "or one of {}; may be repeated",
                               fmt::join(own_workloads(), ", ")))
        ->required()
        ->type_name("NAME|FILE");
    options_.if_no_strategy = "those that differ in what they can probe";
    options_.declare(app, {Shared::Strategies, Shared::All});
    app.add_option("--subsets", subsets_, "Random subsets of its instructions to probe, after all at once")
        ->check(CLI::Range(0, 1'000'000))
        ->capture_default_str();
    options_.declare(app, {Shared::Threads, Shared::Plan, Shared::Seed, Shared::Out, Shared::AsJson});
  }

  Exit run() override {
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    start_nursery();
    std::vector<WorkloadRow> rows;
    Overall overall;
    for (const std::string& workload : workloads_) {
      const WorkloadOptions options{workload,
                                    options_.strategies_or(surveyed_strategies()),
                                    options_.threads,
                                    options_.plan,
                                    options_.seed.value_or(1),
                                    subsets_,
                                    [&](const std::string& line) { progress_.show(line); }};
      for (WorkloadRow& row : check_workload(options)) {
        if (row.whole.is(Ending::Refused))
          return fail(Error{ErrorKind::BadInput, {}, row.whole.summary});
        if (row.at_fault) {
          auto file = save(options_.out, to_counterexample(options, row));
          if (!file)
            return fail(file.error());
          row.at_fault->file = std::move(*file);
        }
        if (row.whole.is(Ending::Skipped))
          overall.did_not_run(row.whole);
        else
          overall.ran(row.broken != 0);
        rows.push_back(std::move(row));
      }
    }
    Json all = Json::array();
    for (const WorkloadRow& row : rows)
      all.push_back(proberace::to_json(row));
    return overall.report("proberace/workload/1", std::move(all), text_of(rows), options_.json);
  }

private:
  Options options_;
  std::vector<std::string> workloads_;
  std::size_t subsets_ = 3;
  Progress progress_;
};

const bool workload_registered = register_command([] { return std::make_unique<RunWorkload>(); });

} // namespace

} // namespace proberace
