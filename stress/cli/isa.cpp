// proberace isa: random instructions of the whole instruction set, each run bare and then with a probe on it.
#include "harness/cell/cell.h"
#include "harness/cli/progress.h"
#include "stress/cli/options.h"
#include "stress/cli/overall.h"
#include "stress/survey/survey.h"
#include "stress/transparency/isa/isa_counterexample.h"
#include "stress/transparency/isa/operand_cells.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Isa final : public Command {
public:
  std::string name() const override { return "isa"; }
  std::string summary() const override {
    return "Run random instructions, bare and probed: both must end alike";
  }
  std::string example() const override { return "proberace isa --strategy poke+xol-boost --cases 2000"; }

  void declare(CLI::App& app) override {
    options_.if_no_strategy = "those that differ in what they can probe";
    options_.declare(app, {Shared::Strategies});
    app.add_option("--cases", cases_, "Instructions to try under each strategy")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    app.add_option("--mnemonic", mnemonics_, "Only instructions of this name; may be repeated")
        ->allow_extra_args(false);
    app.add_option("--case", case_, "Only this case, SEED:NUMBER[:PATH], as a report names it");
    options_.declare(app, {Shared::Seed, Shared::Out, Shared::AsJson});
  }

  Exit run() override {
    const std::optional<CaseName> one = case_.empty() ? std::nullopt : parse_case_name(case_);
    if (!case_.empty() && !one)
      return fail(Error{ErrorKind::BadInput, {}, fmt::format("--case {}: not SEED:NUMBER[:PATH]", case_)});
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    (void)operand_cells(); // and the catalogue; once, before the cells' processes are forked
    start_nursery();
    const std::vector<std::string> strategies = options_.strategies_or(surveyed_strategies());
    return one ? run_one(*one, strategies) : run_all(strategies);
  }

private:
  Exit run_all(const std::vector<std::string>& strategies) {
    Json rows = Json::array();
    std::string text;
    Overall overall;
    for (const std::string& strategy : strategies) {
      IsaReport report = check_isa({strategy, cases_, options_.seed.value_or(1), mnemonics_,
                                    [&](const std::string& line) { progress_.show(line); }});
      if (const Status saved = save_all(report); !saved)
        return fail(saved.error());
      if (report.ended.is(Ending::Held))
        overall.ran(report.broken != 0);
      else
        overall.did_not_run(report.ended);
      rows.push_back(proberace::to_json(report));
      text += text_of(report);
    }
    return overall.report("proberace/isa/1", std::move(rows), text, options_.json);
  }

  Status save_all(IsaReport& report) const {
    for (IsaFailure& failure : report.failures) {
      if (!failure.alone)
        continue;
      auto file = save(options_.out, to_counterexample(report, failure, mnemonics_));
      if (!file)
        return std::unexpected(file.error());
      failure.file = std::move(*file);
    }
    return {};
  }

  Exit run_one(const CaseName& which, const std::vector<std::string>& strategies) const {
    Overall overall;
    for (const std::string& strategy : strategies) {
      IsaFailure f{which.number, which.path, {}, true};
      f.verdict = replay_isa(strategy, which, mnemonics_);
      if (f.verdict.is(Ending::Refused) || f.verdict.is(Ending::Skipped)) {
        overall.did_not_run(f.verdict);
        continue;
      }
      overall.ran(!f.verdict.is(Ending::Held));
      fmt::print("{}: {}", strategy, text_of(f, which.seed));
    }
    return overall.exit();
  }

  Options options_;
  std::uint64_t cases_ = 10'000;
  std::string case_;
  std::vector<std::string> mnemonics_;
  Progress progress_;
};

const bool isa_registered = register_command([] { return std::make_unique<Isa>(); });

} // namespace

} // namespace proberace
