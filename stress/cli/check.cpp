// proberace check: strategies against their promises.
#include "harness/cell/cell.h"
#include "harness/cli/progress.h"
#include "harness/cli/summary_table.h"
#include "harness/probe/registry.h"
#include "stress/cli/options.h"
#include "stress/promises/promise_replay.h"
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
    options_.declare(app, {Shared::Out, Shared::AsJson});
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
    for (const VerdictRow& row : rows)
      if (row.verdict == "broken")
        if (const Status kept = keep(row); !kept)
          return fail(kept.error());
    return std::ranges::any_of(rows, is("broken")) ? Exit::Counterexample : Exit::Held;
  }

private:
  Status keep(const VerdictRow& row) const {
    const auto file = save(options_.out, counterexample_of(row));
    if (!file)
      return std::unexpected(file.error());
    if (!options_.json)
      fmt::print("{}: {} broke; again: proberace replay {}\n", row.strategy, row.case_name, *file);
    return {};
  }

  Options options_;
  bool combinations_ = false;
  Progress progress_;
};

const bool check_registered = register_command([] { return std::make_unique<Check>(); });

} // namespace

} // namespace proberace
