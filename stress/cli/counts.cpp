// proberace counts: a fixed piece of real work under a strategy and under the kernel's own uprobes. Both must count
// the same at every site.
//
// Why it is no workload: a workload's threads call it for as long as probes come and go, so its counts are another
// each time. Here the same files go through zlib once, and each count is exact.
#include "harness/cell/endings.h"
#include "harness/cli/progress.h"
#include "harness/probe/roles.h"
#include "stress/cli/options.h"
#include "stress/workload/zlib_check.h"

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr const char* kCountedLibrary = "zlib";

class Counts final : public Command {
public:
  std::string name() const override { return "counts"; }
  std::string summary() const override {
    return "Compare counts with the kernel's, site by site, while zlib does real work";
  }
  std::string example() const override { return "proberace counts --strategy pte-swap+xol-vma --sites 20"; }

  void declare(CLI::App& app) override {
    options_.threads = zlib_.threads;
    options_.declare(app, {Shared::Strategy, Shared::Threads, Shared::Plan});
    app.add_option("--sites", zlib_.sites, "Instructions to probe, evenly spread over the library")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--symbol", zlib_.symbol, "Probe only this function's instructions");
    options_.declare(app, {Shared::AsJson});
  }

  Exit run() override {
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    zlib_.strategy = options_.strategy();
    zlib_.threads = options_.threads;
    zlib_.plan = options_.plan;
    start_nursery();
    progress_.show(fmt::format("{} on {}", zlib_.strategy, kCountedLibrary));
    const ZlibComparison c = check_zlib(zlib_);
    if (c.own.is(Ending::Skipped) || c.own.is(Ending::Refused))
      return fail(why_not_run(c.own));
    if (options_.json)
      fmt::print("{}\n", as_json(c).dump(2));
    else
      print(c);
    if (!c.own.is(Ending::Held))
      return Exit::Counterexample;
    if (c.peer.is(Ending::Skipped))
      return Exit::MachineLacks;
    if (c.peer.is(Ending::Refused))
      return Exit::BadUsage;
    return c.peer.is(Ending::Held) && c.equal == c.compared ? Exit::Held : Exit::Counterexample;
  }

private:
  void print(const ZlibComparison& c) const {
    fmt::print("{} on {}, {} threads: {}: {}\n", zlib_.strategy, kCountedLibrary, zlib_.threads,
               proberace::name(c.own.ending), c.own.summary);
    if (!c.peer.is(Ending::Held))
      fmt::print("{}: {}: {}\n", holder_of(Role::ReferencePeer), proberace::name(c.peer.ending),
                 c.peer.summary);
    else
      fmt::print("counts equal to {}'s at {} of {} sites that both armed\n", holder_of(Role::ReferencePeer),
                 c.equal, c.compared);
    for (const std::string& line : c.differing)
      fmt::print("  differs: {}\n", line);
    for (const std::string& line : c.refused)
      fmt::print("  refused: {}\n", line);
  }

  Json as_json(const ZlibComparison& c) const {
    return Json{{"schema", "proberace/check-target/1"},
                {"target", kCountedLibrary},
                {"strategy", zlib_.strategy},
                {"verdict", proberace::to_json(c.own)},
                {"kernel_uprobe", proberace::to_json(c.peer)},
                {"compared", c.compared},
                {"equal", c.equal},
                {"differing", c.differing},
                {"refused", c.refused}};
  }

  Options options_;
  ZlibOptions zlib_;
  Progress progress_;
};

const bool counts_registered = register_command([] { return std::make_unique<Counts>(); });

} // namespace

} // namespace proberace
