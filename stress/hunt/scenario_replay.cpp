#include "stress/hunt/scenario_replay.h"

#include "harness/base/json_fields.h"
#include "stress/scenario/interleaving.h"

namespace proberace {

namespace {

constexpr std::chrono::minutes kReplayBudget{1};

class ScenarioReplay final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "scenario"; }
  bool is_controlled(const Counterexample& found) const override { return found.schedule.has_value(); }

  Status check(const Counterexample& found) const override {
    const auto scenario = scenario_from(found.what);
    if (!scenario)
      return in_its_case(scenario.error());
    if (scenario->strategy != found.strategy)
      return std::unexpected(Error{ErrorKind::BadInput, {}, "field 'strategy': the case names another one"});
    const auto exploration = exploration_of(found);
    return exploration ? Status{} : std::unexpected(exploration.error());
  }

  Replayed run(const Counterexample& found) const override {
    const Scenario scenario = *scenario_from(found.what);
    const Explored now = explore(scenario, *exploration_of(found));
    Replayed replayed{now.verdict, {}, Json::object(), {}};
    if (!found.schedule) {
      replayed.text = text_of(scenario);
      return replayed;
    }
    replayed.text = text_of(scenario, now);
    replayed.details = steps_of(now);
    replayed.trace = chrome_trace(scenario, now);
    return replayed;
  }

private:
  static std::expected<Exploration, Error> exploration_of(const Counterexample& found) {
    Exploration e;
    e.scheduler = SchedulerKind::Free;
    if (!found.schedule)
      return e;
    const auto replay = read_fields<ControlledReplay>(*found.schedule, UnknownKeys::Refused);
    if (!replay)
      return std::unexpected(Error{ErrorKind::BadInput, {}, "schedule: " + replay.error().message});
    e.scheduler = SchedulerKind::Given;
    e.given = replay->switches;
    e.schedules = replay->runs;
    if (replay->series)
      e = *replay->series;
    e.budget = kReplayBudget;
    return e;
  }
};

const bool registered = register_replay_kind(std::make_unique<ScenarioReplay>());

} // namespace

Json steps_of(const Explored& explored) {
  Json steps = Json::array();
  for (std::size_t i = 0; i < explored.steps.size(); ++i)
    steps.push_back(Json{{"step", i}, {"thread", explored.steps[i].task}, {"point", explored.steps[i].name}});
  return Json{{"violated", explored.violated ? Json(*explored.violated) : Json(nullptr)},
              {"steps", std::move(steps)}};
}

Counterexample counterexample_of(const ScenarioFailure& failure, bool free, std::uint64_t seed) {
  Counterexample found;
  found.kind = "scenario";
  found.strategy = failure.scenario.strategy;
  found.what = to_json(failure.scenario);
  if (!free)
    found.schedule = write_fields(ControlledReplay{failure.explored.schedule, failure.runs, failure.series});
  found.verdict = to_json(failure.explored.verdict);
  found.seed = seed;
  found.recurs = failure.recurs;
  return found;
}

} // namespace proberace
