// proberace replay: runs a counterexample again, and says whether it fails as it did when it was found.
#include "harness/cell/cell.h"
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/file/whole_file.h"
#include "stress/cli/controlled_build.h"
#include "stress/hunt/counterexample.h"
#include "stress/hunt/scenario_replay.h"
#include "stress/scenario/interleaving.h"
#include "stress/scenario/model_trail.h"

#include <fmt/format.h>
#include <functional>

namespace proberace {

namespace {

Replayed replayed(const Scenario& scenario, const Explored& explored) {
  return {explored.verdict, text_of(scenario, explored), steps_of(explored),
          chrome_trace(scenario, explored)};
}

class Replay final : public Command {
public:
  std::string name() const override { return "replay"; }
  std::string summary() const override { return "Run a counterexample again"; }
  std::string example() const override { return "proberace replay poke-in-place-lost-hit-1.json --times 20"; }

  void declare(CLI::App& app) override {
    auto* const file =
        app.add_option("file", file_, "The counterexample, as a command saved it")->type_name("FILE");
    auto* const trail =
        app.add_option("--trail", trail_, "Instead: a trail that Spin wrote. The code takes its steps");
    trail->excludes(file);
    auto* const model = app.add_option("--model", model_, "With --trail: the model it is of (stress/models)");
    trail->needs(model);
    model->needs(trail);
    app.add_option("--without", without_,
                   "With --trail: a guard that was switched off in the model; may be repeated")
        ->needs(trail);
    app.add_option("--times", times_, "Run it so many times, each in a process of its own")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--trace", trace_, "Also write its interleaving to this file, for Chrome or Perfetto");
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    if (!trail_.empty())
      return replay_trail();
    if (file_.empty())
      return fail(
          Error{ErrorKind::BadInput, {}, "replay needs a counterexample's file, or --trail; see its --help"});
    const auto found = load_counterexample(file_);
    if (!found)
      return fail(found.error());
    const ReplayKind& kind = *replay_kind(found->kind);
    if (kind.is_controlled(*found))
      if (const Status controlled = become_controlled(); !controlled)
        return fail(controlled.error());
    start_nursery();
    return run_again(found->verdict, [&] { return kind.run(*found); });
  }

private:
  // The doings of the code when its threads take the steps that the model took.
  Exit replay_trail() {
    const auto trail = read_trail(trail_, model_, without_);
    if (!trail)
      return fail(trail.error());
    if (const Status controlled = become_controlled(); !controlled)
      return fail(controlled.error());
    start_nursery();
    Exploration e;
    e.scheduler = SchedulerKind::Toward;
    e.schedules = 1;
    e.guide = guide_of(*trail);
    file_ = trail_; // what is printed
    return run_again(Json::object(), [&] {
      const Explored explored = explore(trail->scenario, e);
      const std::size_t taken = steps_taken(*trail, explored.steps);
      Replayed now = replayed(trail->scenario, explored);
      now.details["trail"] = Json{{"steps", trail->steps.size()}, {"taken", taken}};
      return now;
    });
  }

  // `seen`: the verdict of the run that was kept; an empty object if any failure is as good.
  Exit run_again(const Json& seen, const std::function<Replayed()>& once) {
    std::optional<WholeFile> trace; // tried before the work, not after it
    if (trace_) {
      auto created = WholeFile::create(*trace_);
      if (!created)
        return fail(created.error());
      trace.emplace(std::move(*created));
    }
    Replayed shown; // one that reproduced it, else one that broke otherwise
    std::size_t reproduced = 0;
    std::size_t otherwise = 0;
    for (std::size_t i = 0; i < times_; ++i) {
      Replayed now = once();
      if (now.verdict.is(Ending::Refused) || now.verdict.is(Ending::Skipped))
        return fail(why_not_run(now.verdict));
      const bool broke = now.verdict.is_counterexample();
      const bool same = broke && is_what_was_seen(seen, now.verdict);
      if (i == 0 || same || (broke && reproduced == 0))
        shown = std::move(now);
      reproduced += same ? 1 : 0;
      otherwise += broke && !same ? 1 : 0;
      progress_.show(fmt::format("{}: {} of {} runs, {} reproduced", file_, i + 1, times_, reproduced));
    }
    if (trace) {
      if (shown.trace.is_null())
        return fail(
            Error{ErrorKind::BadInput,
                  {},
                  fmt::format("--trace: {} has no schedule, so there is no interleaving to write", file_)});
      if (const Status written = trace->write(shown.trace.dump() + "\n"); !written)
        return fail(written.error());
    }
    print(shown, reproduced, otherwise);
    return reproduced + otherwise != 0 ? Exit::Counterexample : Exit::Held;
  }

  static bool is_what_was_seen(const Json& seen, const Verdict& now) {
    return seen.empty() || (seen.value("ending", std::string()) == proberace::name(now.ending) &&
                            seen.value("property", std::string()) == now.property);
  }

  void print(const Replayed& shown, std::size_t reproduced, std::size_t otherwise) const {
    if (json_) {
      Json all{{"schema", "proberace/replay/1"},
               {"file", file_},
               {"times", times_},
               {"reproduced", reproduced},
               {"broke_otherwise", otherwise},
               {"violated", nullptr},
               {"verdict", to_json(shown.verdict)},
               {"steps", Json::array()}};
      all.update(shown.details);
      fmt::print("{}\n", all.dump(2));
      return;
    }
    fmt::print("{}", shown.text);
    fmt::print("{}: {}\nreproduced {} of {} times\n", proberace::name(shown.verdict.ending),
               shown.verdict.summary, reproduced, times_);
    if (otherwise != 0)
      fmt::print("broke in another way {} times\n", otherwise);
    if (shown.details.contains("trail"))
      fmt::print("{} of the trail's {} steps were taken\n", shown.details["trail"]["taken"].dump(),
                 shown.details["trail"]["steps"].dump());
  }

  std::string file_, trail_, model_;
  std::vector<std::string> without_;
  std::size_t times_ = 1;
  std::optional<std::string> trace_;
  bool json_ = false;
  Progress progress_;
};

const bool replay_registered = register_command([] { return std::make_unique<Replay>(); });

} // namespace

} // namespace proberace
