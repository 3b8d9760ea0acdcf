// proberace check: strategies against their promises.
#include "harness/cell/cell.h"
#include "harness/cli/progress.h"
#include "harness/cli/summary_table.h"
#include "harness/probe/registry.h"
#include "stress/cli/options.h"
#include "stress/promises/promise_matrix.h"
#include "stress/promises/promise_rows.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

class Check final : public Command {
public:
  std::string name() const override { return "check"; }
  std::string summary() const override { return "Judge strategies against their promises"; }
  std::string example() const override { return "proberace check --strategy poke+xol-vma"; }

  void declare(CLI::App& app) override {
    options_.declare(app, {Shared::Strategies, Shared::All});
    app.add_flag("--combinations", combinations_, "With --all: take every combination that works")
        ->needs("--all");
    options_.declare(app, {Shared::AsJson});
  }

  Exit run() override {
    if (options_.strategies.empty() && !options_.all)
      return fail(Error{ErrorKind::BadInput, {}, "check needs --strategy or --all (see `proberace list`)"});
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    start_nursery();
    const std::vector<VerdictRow> rows =
        promise_rows(combinations_ ? strategy_names() : options_.strategies_or({}),
                     [this](const std::string& line) { progress_.show(line); });
    const auto is = [](const char* verdict) {
      return [verdict](const VerdictRow& row) { return row.verdict == verdict; };
    };
    if (std::ranges::all_of(rows, is("skipped")))
      return fail(Error{ErrorKind::MachineLacks, {}, rows.back().reason});
    Summary summary;
    summary.verdicts = rows;
    fmt::print("{}\n", options_.json ? to_json(summary).dump(2) : promise_matrix_text(rows));
    return std::ranges::any_of(rows, is("broken")) ? Exit::Counterexample : Exit::Held;
  }

private:
  Options options_;
  bool combinations_ = false;
  Progress progress_;
};

const bool check_registered = register_command([] { return std::make_unique<Check>(); });

} // namespace

} // namespace proberace
