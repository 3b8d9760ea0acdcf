// proberace replay: runs a counterexample again, step by step as it was found.
#include "harness/cell/cell.h"
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/file/whole_file.h"
#include "stress/cli/controlled_build.h"
#include "stress/hunt/race_file.h"
#include "stress/scenario/interleaving.h"
#include "stress/scenario/model_trail.h"

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::chrono::minutes kReplayBudget{1};

class Replay final : public Command {
public:
  std::string name() const override { return "replay"; }
  std::string summary() const override { return "Run a counterexample again and print its interleaving"; }
  std::string example() const override { return "proberace replay poke-in-place-lost-hit-1.race"; }

  void declare(CLI::App& app) override {
    auto* const file = app.add_option("file", file_, "What `proberace hunt --scheduler` wrote");
    auto* const trail =
        app.add_option("--trail", trail_, "Or a counterexample of Spin's: its steps, in the code");
    trail->excludes(file);
    auto* const model = app.add_option("--model", model_, "With --trail: of this model (stress/models)");
    trail->needs(model);
    model->needs(trail);
    app.add_option("--without", without_, "With --trail: the guard that was switched off; may be repeated")
        ->needs(trail);
    app.add_option("--times", times_, "Run it this often, each in a process of its own")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--trace", trace_, "Also write the interleaving as a trace for Chrome or Perfetto");
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    if (!trail_.empty())
      return replay_trail();
    if (file_.empty())
      return fail(Error{ErrorKind::BadInput, {}, "nothing to replay: name a .race file, or --trail"});
    const auto race = load_race(file_);
    if (!race)
      return fail(race.error());
    if (const Status controlled = become_controlled(); !controlled)
      return fail(controlled.error());
    start_nursery();
    Exploration e;
    e.scheduler = SchedulerKind::Given;
    e.schedules = race->runs;
    e.given = race->schedule;
    if (race->series)
      e = *race->series;
    e.budget = kReplayBudget;
    return run_again(*race, e, [&](const Verdict& now) { return is_what_was_seen(*race, now); });
  }

private:
  // What the code does when its threads take the steps that the model took.
  Exit replay_trail() {
    const auto trail = read_trail(trail_, model_, without_);
    if (!trail)
      return fail(trail.error());
    of_model_ = *trail;
    if (const Status controlled = become_controlled(); !controlled)
      return fail(controlled.error());
    start_nursery();
    Exploration e;
    e.scheduler = SchedulerKind::Toward;
    e.schedules = 1;
    e.guide = guide_of(*trail);
    file_ = trail_; // what is printed
    return run_again(RaceFile{trail->program, {}, 1, "toward", 0, Json::object(), {}}, e,
                     [](const Verdict& now) { return now.is_counterexample(); });
  }

  template <typename Seen> Exit run_again(const RaceFile& race, const Exploration& e, Seen&& seen) {
    Explored last; // what is shown: one that reproduced it, else one that broke otherwise
    std::size_t reproduced = 0;
    std::size_t otherwise = 0;
    for (std::size_t i = 0; i < times_; ++i) {
      Explored now = explore(race.program, e);
      if (now.verdict.is(Ending::Refused) || now.verdict.is(Ending::Skipped))
        return fail(why_not_run(now.verdict));
      const bool same = seen(now.verdict);
      const bool broke = now.verdict.is_counterexample();
      if (i == 0 || same || (broke && reproduced == 0))
        last = std::move(now);
      reproduced += same ? 1 : 0;
      otherwise += broke && !same ? 1 : 0;
    }
    if (trace_)
      if (const Status written = write_trace(race.program, last); !written)
        return fail(written.error());
    print(race, last, reproduced, otherwise);
    return reproduced + otherwise != 0 ? Exit::Counterexample : Exit::Held;
  }

  static bool is_what_was_seen(const RaceFile& race, const Verdict& now) {
    return now.is_counterexample() && race.verdict.value("ending", Json()) == proberace::name(now.ending) &&
           race.verdict.value("property", std::string()) == now.property;
  }

  Status write_trace(const Program& program, const Explored& explored) const {
    auto file = WholeFile::create(*trace_);
    return file ? file->write(chrome_trace(program, explored).dump() + "\n") : std::unexpected(file.error());
  }

  void print(const RaceFile& race, const Explored& last, std::size_t reproduced,
             std::size_t otherwise) const {
    if (json_) {
      Json steps = Json::array();
      for (std::size_t i = 0; i < last.steps.size(); ++i)
        steps.push_back(Json{{"step", i}, {"thread", last.steps[i].task}, {"point", last.steps[i].name}});
      Json all{{"schema", "proberace/replay/1"},
               {"file", file_},
               {"times", times_},
               {"reproduced", reproduced},
               {"broke_otherwise", otherwise},
               {"violated", last.violated ? Json(*last.violated) : Json(nullptr)},
               {"verdict", to_json(last.verdict)},
               {"steps", std::move(steps)}};
      if (of_model_)
        all["trail"] =
            Json{{"steps", of_model_->steps.size()}, {"taken", steps_taken(*of_model_, last.steps)}};
      fmt::print("{}\n", all.dump(2));
      return;
    }
    fmt::print("{}", text_of(race.program, last));
    fmt::print("{}: {}\nreproduced {} of {} times\n", proberace::name(last.verdict.ending),
               last.verdict.summary, reproduced, times_);
    if (otherwise != 0)
      fmt::print("broke in another way {} times\n", otherwise);
    if (of_model_)
      fmt::print("{} of the trail's {} steps were taken\n", steps_taken(*of_model_, last.steps),
                 of_model_->steps.size());
  }

  std::string file_, trail_, model_;
  std::optional<ModelTrail> of_model_; // with --trail
  std::vector<std::string> without_;
  std::size_t times_ = 1;
  std::optional<std::string> trace_;
  bool json_ = false;
};

const bool replay_registered = register_command([] { return std::make_unique<Replay>(); });

} // namespace

} // namespace proberace
