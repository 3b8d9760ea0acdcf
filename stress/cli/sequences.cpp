// proberace sequences: random short bodies of code in which several neighbouring instructions are probed at once.
#include "harness/cli/progress.h"
#include "stress/cli/options.h"
#include "stress/cli/overall.h"
#include "stress/survey/survey.h"
#include "stress/transparency/sequence/sequence_counterexample.h"

namespace proberace {

namespace {

class Sequences final : public Command {
public:
  std::string name() const override { return "sequences"; }
  std::string summary() const override {
    return "Run random short bodies of code with neighbouring probes: results and counts must be right";
  }
  std::string example() const override { return "proberace sequences --strategy jump --cases 50"; }

  void declare(CLI::App& app) override {
    options_.if_no_strategy = "those that differ in what they can probe";
    options_.declare(app, {Shared::Strategies, Shared::All});
    app.add_option("--cases", cases_, "Sequences to try under each strategy, on one thread and then on all")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    options_.declare(app, {Shared::Threads, Shared::Plan, Shared::Seed, Shared::Out, Shared::AsJson});
  }

  Exit run() override {
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    start_nursery();
    Json rows = Json::array();
    std::string text;
    Overall overall;
    for (const std::string& strategy : options_.strategies_or(surveyed_strategies())) {
      SequenceReport report =
          check_sequences({strategy, cases_, options_.seed.value_or(1), options_.threads, options_.plan,
                           [&](const std::string& line) { progress_.show(line); }});
      if (report.failure) {
        auto file = save(options_.out, to_counterexample(report));
        if (!file)
          return fail(file.error());
        report.failure->file = std::move(*file);
      }
      if (report.ended.is(Ending::Held))
        overall.ran(report.failure.has_value());
      else
        overall.did_not_run(report.ended);
      rows.push_back(proberace::to_json(report));
      text += text_of(report);
    }
    return overall.report("proberace/sequences/1", std::move(rows), text, options_.json);
  }

private:
  Options options_;
  std::uint64_t cases_ = 50;
  Progress progress_;
};

const bool sequences_registered = register_command([] { return std::make_unique<Sequences>(); });

} // namespace

} // namespace proberace
