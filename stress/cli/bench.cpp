// proberace bench: the comparison, recorded: floors, hits, insertions, the promise matrix, a real library.
#include "harness/base/json_fields.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/cli/summary_table.h"
#include "harness/machine/provenance.h"
#include "harness/probe/registry.h"
#include "harness/result/run_directory.h"
#include "stress/bench/driver.h"
#include "stress/cli/options.h"
#include "stress/promises/promise_rows.h"
#include "stress/workload/zlib_check.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Bench final : public Command {
public:
  std::string name() const override { return "bench"; }
  std::string summary() const override {
    return "Measure and judge strategies beside the kernel's uprobes, and record the run";
  }
  std::string example() const override { return "proberace bench --out results --strategy pte-swap+xol-vma"; }

  void declare(CLI::App& app) override {
    options_.if_no_strategy = "few that have every plug-in among them";
    options_.declare(app, {Shared::Strategies});
    app.add_option("--repetitions", size_.repetitions,
                   "How often each measurement is repeated; all of them are shuffled")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--out", out_, "The folder for recorded runs: DIR/<machine>/<time>/")
        ->capture_default_str()
        ->type_name("DIR");
    app.add_flag("--full", size_.full, "Take more samples, and probe the whole of zlib: hours");
    options_.declare(app, {Shared::AsJson});
  }

  Exit run() override {
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    size_.strategies = options_.strategies;
    // The peer belongs into every run: ratios are of one run.
    if (!size_.strategies.empty()) {
      const std::string& peer = holder_of(Role::ReferencePeer);
      std::erase(size_.strategies, peer);
      size_.strategies.push_back(peer);
    }
    start_nursery();
    const Json machine = provenance();
    auto directory = RunDirectory::create(out_, machine["machine"], machine["time"]);
    if (!directory)
      return fail(directory.error());
    auto raw = directory->raw("raw.jsonl");
    if (!raw)
      return fail(raw.error());
    Summary summary = measure(*raw);
    summary.verdicts = judge();
    if (const Status closed = raw->close(); !closed)
      return fail(closed.error());
    return finish(*directory, machine, summary);
  }

private:
  Summary measure(LineWriter& raw) {
    BenchOutcome outcome = run_measurements(measurements(size_), size_.repetitions, [&](const Repetition& r) {
      raw.append(write_fields(r).dump());
      progress_.show(fmt::format("measuring {}/{}: {}", r.done, r.of, r.measurement.name()));
    });
    skipped_ = std::move(outcome.skipped);
    return std::move(outcome.summary);
  }

  std::vector<VerdictRow> judge() {
    const std::vector<std::string> strategies =
        size_.strategies.empty() ? covering_strategies() : size_.strategies;
    auto rows =
        promise_rows(strategies, [this](const std::string& line) { progress_.show("judging " + line); });
    rows.push_back(real_library());
    return rows;
  }

  VerdictRow real_library() {
    constexpr std::size_t kQuickSites = 40;
    constexpr std::size_t kQuickBytes = 8192;
    ZlibOptions o;
    o.strategy = "pte-swap+xol-vma";
    const std::string& peer = holder_of(Role::ReferencePeer);
    progress_.show(fmt::format("zlib, beside {}", peer));
    if (!size_.full) {
      o.sites = kQuickSites;
      o.bytes_per_file = kQuickBytes;
    }
    const ZlibComparison c = check_zlib(o);
    const bool held = c.own.is(Ending::Held) && c.peer.is(Ending::Held) && c.equal == c.compared;
    const bool skipped = c.own.is(Ending::Skipped) || c.peer.is(Ending::Skipped);
    const std::string counts =
        fmt::format("{}; counts equal to {}'s at {} of {} sites", c.own.summary, peer, c.equal, c.compared);
    return {"target",
            "zlib",
            o.strategy,
            skipped ? "skipped"
            : held  ? "kept"
                    : "broken",
            skipped ? "skipped"
            : held  ? "held"
                    : "broken",
            skipped ? c.peer.summary : counts};
  }

  Exit finish(RunDirectory& directory, const Json& machine, const Summary& summary) {
    for (const auto& [file, content] :
         {std::pair{"provenance.json", machine.dump(2)}, std::pair{"summary.json", to_json(summary).dump(2)}})
      if (const Status written = directory.write(file, content + "\n"); !written)
        return fail(written.error());
    const auto final_path = directory.finish();
    if (!final_path)
      return fail(final_path.error());
    if (options_.json) {
      fmt::print("{}\n", Json{{"directory", final_path->string()}, {"summary", to_json(summary)}}.dump(2));
    } else {
      fmt::print("{}", text_of(summary));
      for (const std::string& line : skipped_)
        fmt::print("not measured: {}\n", line);
      fmt::print("\nrecorded in {}\n", final_path->string());
    }
    return Exit::Held;
  }

  Options options_;
  SuiteSize size_;
  std::string out_ = "results";
  std::vector<std::string> skipped_;
  Progress progress_;
};

const bool bench_registered = register_command([] { return std::make_unique<Bench>(); });

} // namespace

} // namespace proberace
