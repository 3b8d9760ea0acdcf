// proberace check: a strategy against its promises, all strategies against theirs, a strategy on a real
// library, what strategies can probe of a binary, whether they are transparent over the instruction set, to
// short bodies of code, or to a user's own.
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/cli/summary_table.h"
#include "harness/probe/registry.h"
#include "stress/cli/check_isa.h"
#include "stress/cli/check_sequences.h"
#include "stress/cli/check_workload.h"
#include "stress/promises/promise_matrix.h"
#include "stress/promises/promise_rows.h"
#include "stress/survey/survey.h"
#include "stress/workload/zlib_check.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace proberace {

namespace {

Exit exit_of(const Verdict& verdict) {
  if (verdict.is(Ending::Skipped))
    return Exit::MachineLacks;
  if (verdict.is(Ending::Refused))
    return Exit::BadUsage;
  return verdict.is(Ending::Held) ? Exit::Held : Exit::Counterexample;
}

class Check final : public Command {
public:
  std::string name() const override { return "check"; }
  std::string summary() const override {
    return "Judge strategies against their promises, or on a real library";
  }
  std::string example() const override {
    return "proberace check --target zlib --strategy pte-swap+xol-vma --threads 2";
  }

  void declare(CLI::App& app) override {
    app.add_option("--strategy", zlib_.strategy, "The strategy to check (proberace list)");
    app.add_flag("--all", all_, "Strategies that have every plug-in among them, against their promises");
    app.add_flag("--combinations", combinations_, "With --all: every combination that works");
    app.add_option("--target", target_, "A real library instead: zlib")->check(CLI::IsMember({"zlib"}));
    app.add_option("--elf", elf_files_, "ELF files: which of their instructions can be probed, and how")
        ->excludes("--target");
    isa_.declare(app);
    sequences_.declare(app);
    workload_.declare(app);
    app.add_option("--seed", seed_,
                   "With --isa, --sequences or --workload: the same seed, the same random choices")
        ->capture_default_str();
    app.add_option("--threads", threads_,
                   "Threads that use the library (default 2; 4 with --sequences and --workload)")
        ->check(CLI::Range(1, 64));
    app.add_option("--sites", sites_,
                   "Instructions to probe, evenly spread over the library (default 240), "
                   "or over each ELF file (default: all)")
        ->check(CLI::Range(1, 100'000));
    app.add_option("--symbol", zlib_.symbol, "Only this function's instructions");
    app.add_option("--plan", zlib_.plan, "Pin plan (proberace list)")->capture_default_str();
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    if (!elf_files_.empty() && zlib_.strategy.empty())
      return check_elf(surveyed_strategies());
    if (isa_.asked() && zlib_.strategy.empty())
      return isa_.run(surveyed_strategies(), seed_, json_, progress_);
    if (sequences_.asked() && zlib_.strategy.empty())
      return sequences_.run(all_ ? covering_strategies() : surveyed_strategies(), conditions(), json_,
                            progress_);
    if (workload_.asked() && zlib_.strategy.empty())
      return workload_.run(all_ ? covering_strategies() : surveyed_strategies(), conditions(), json_,
                           progress_);
    if (!all_ && zlib_.strategy.empty())
      return fail(Error{ErrorKind::BadInput, {}, "check needs --strategy or --all (see `proberace list`)"});
    if (!zlib_.strategy.empty())
      if (const auto prober = make_prober(zlib_.strategy); !prober)
        return fail(prober.error());
    if (!elf_files_.empty())
      return check_elf({zlib_.strategy});
    if (isa_.asked())
      return isa_.run({zlib_.strategy}, seed_, json_, progress_);
    if (sequences_.asked())
      return sequences_.run({zlib_.strategy}, conditions(), json_, progress_);
    if (workload_.asked())
      return workload_.run({zlib_.strategy}, conditions(), json_, progress_);
    start_nursery();
    return target_.empty() ? check_promises() : check_target();
  }

private:
  Conditions conditions() const {
    constexpr std::size_t kThreads = 4;
    return {threads_.value_or(kThreads), zlib_.plan, seed_};
  }

  Exit check_promises() {
    const std::vector<std::string> strategies = !all_           ? std::vector{zlib_.strategy}
                                                : combinations_ ? strategy_names()
                                                                : covering_strategies();
    const std::vector<VerdictRow> rows =
        promise_rows(strategies, [this](const std::string& line) { progress_.show(line); });
    bool broke = false;
    bool all_skipped = true;
    std::string why;
    for (const VerdictRow& row : rows) {
      broke = broke || row.verdict == "broken";
      all_skipped = all_skipped && row.verdict == "skipped";
      why = row.reason;
    }
    if (all_skipped)
      return fail(Error{ErrorKind::MachineLacks, {}, why});
    Summary summary;
    summary.verdicts = rows;
    fmt::print("{}\n", json_ ? to_json(summary).dump(2) : promise_matrix_text(rows));
    return broke ? Exit::Counterexample : Exit::Held;
  }

  Exit check_target() {
    progress_.show(fmt::format("{} on {}", zlib_.strategy, target_));
    zlib_.sites = sites_.value_or(zlib_.sites);
    zlib_.threads = threads_.value_or(zlib_.threads);
    const ZlibComparison c = check_zlib(zlib_);
    if (c.own.is(Ending::Skipped) || c.own.is(Ending::Refused))
      return fail(why_not_run(c.own));
    if (json_)
      fmt::print("{}\n", as_json(c).dump(2));
    else
      print(c);
    if (!c.own.is(Ending::Held))
      return exit_of(c.own);
    if (!c.peer.is(Ending::Held))
      return c.peer.is(Ending::Skipped) ? Exit::MachineLacks : exit_of(c.peer);
    return c.equal == c.compared ? Exit::Held : Exit::Counterexample;
  }

  Exit check_elf(const std::vector<std::string>& strategies) {
    start_nursery();
    const std::vector<ElfSurvey> surveys =
        survey_elf(elf_files_, strategies, sites_.value_or(0),
                   [this](const std::string& line) { progress_.show(line); });
    if (const Verdict& last = surveys.back().verdict; last.is(Ending::Refused))
      return fail(Error{ErrorKind::BadInput, {}, last.summary});
    if (const Verdict& last = surveys.back().verdict; strategies.size() == 1 && last.is(Ending::Skipped))
      return fail(Error{ErrorKind::MachineLacks, {}, last.summary});
    fmt::print("{}\n", json_ ? to_json(surveys).dump(2) : text_of(surveys));
    const bool held = std::ranges::all_of(surveys, [](const ElfSurvey& s) {
      return s.verdict.is(Ending::Held) || s.verdict.is(Ending::Skipped);
    });
    return held ? Exit::Held : Exit::Counterexample;
  }

  void print(const ZlibComparison& c) const {
    fmt::print("{} on {}, {} threads: {}: {}\n", zlib_.strategy, target_, zlib_.threads,
               proberace::name(c.own.ending), c.own.summary);
    if (!c.peer.is(Ending::Held))
      fmt::print("kernel-uprobe: {}: {}\n", proberace::name(c.peer.ending), c.peer.summary);
    else
      fmt::print("counts equal to kernel-uprobe's at {} of {} sites that both armed\n", c.equal, c.compared);
    for (const std::string& line : c.differing)
      fmt::print("  differs: {}\n", line);
    for (const std::string& line : c.refused)
      fmt::print("  refused: {}\n", line);
  }

  Json as_json(const ZlibComparison& c) const {
    return Json{{"schema", "proberace/check-target/1"},
                {"target", target_},
                {"strategy", zlib_.strategy},
                {"verdict", proberace::to_json(c.own)},
                {"kernel_uprobe", proberace::to_json(c.peer)},
                {"compared", c.compared},
                {"equal", c.equal},
                {"differing", c.differing},
                {"refused", c.refused}};
  }

  ZlibOptions zlib_;
  std::string target_;
  std::vector<std::string> elf_files_;
  std::optional<std::size_t> sites_, threads_;
  CheckIsa isa_;
  CheckSequences sequences_;
  CheckWorkload workload_;
  std::uint64_t seed_ = 1;
  bool all_ = false;
  bool combinations_ = false;
  bool json_ = false;
  Progress progress_;
};

const bool check_registered = register_command([] { return std::make_unique<Check>(); });

} // namespace

} // namespace proberace
