#include "stress/scenario/explore.h"

#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

constexpr std::chrono::seconds kGrace{20}; // beyond the budget: a schedule that makes no step hangs
constexpr std::chrono::seconds kFreeRun{20};

std::vector<TakenStep> copy(const ScenarioScratch& left, std::size_t bodies) {
  std::vector<TakenStep> steps;
  for (const schedule::Step& s : left.schedule.trace.taken()) {
    const auto* const site = std::find(left.sites, left.sites + bodies, s.site);
    const bool known = s.site != Address{} && site != left.sites + bodies;
    steps.push_back({s.name, s.site, known ? std::optional<std::size_t>(site - left.sites) : std::nullopt,
                     s.task, s.before, s.preempted()});
  }
  return steps;
}

std::string where_tasks_stand(const schedule::State& state) {
  std::vector<std::string> stands;
  for (std::size_t i = 0; i < state.task_count; ++i)
    if (state.tasks[i].doing != schedule::State::Task::Doing::Nothing)
      stands.push_back(fmt::format("thread {} at {}", i, state.tasks[i].at));
  return fmt::format("{}", fmt::join(stands, ", "));
}

// A schedule that could not proceed ended the process in words of its own.
void name_stuck(const schedule::State& state, Verdict& verdict) {
  const auto outcome = state.outcome.load(std::memory_order_acquire); // the process has ended
  if (!verdict.is(Ending::Crashed) ||
      (outcome != schedule::Outcome::Deadlock && outcome != schedule::Outcome::TooLong))
    return;
  const bool deadlock = outcome == schedule::Outcome::Deadlock;
  verdict.ending = Ending::Broken;
  verdict.property =
      deadlock ? property_name(BrokenProperty::Deadlock) : property_name(BrokenProperty::Progress);
  verdict.summary = fmt::format(
      "{}: {}", deadlock ? "no thread can go on" : fmt::format("no end after {} steps", schedule::kMaxSteps),
      where_tasks_stand(state));
  verdict.evidence = Json::object();
}

// The longest that the pauses of one thread can take.
std::chrono::milliseconds longest_pauses(const Scenario& scenario) {
  std::size_t most = 0;
  for (const ScenarioThread& thread : scenario.threads)
    most = std::max(most, thread.rounds * static_cast<std::size_t>(
                                              std::ranges::count(thread.acts, ActKind::Pause, &Act::kind)));
  return most * kLongestPause;
}

} // namespace

CellSpec to_cell(const Scenario& scenario, const Exploration& exploration) {
  CellSpec spec;
  spec.experiment = "scenario";
  spec.parameters = Json{{"scenario", to_json(scenario)}, {"exploration", write_fields(exploration)}};
  spec.deadline = exploration.is_free() ? kFreeRun + longest_pauses(scenario) : exploration.budget + kGrace;
  return spec;
}

Explored explore(const Scenario& scenario, const Exploration& exploration) {
  Explored explored;
  explored.verdict = run_cell(to_cell(scenario, exploration));
  if (exploration.is_free())
    return explored;
  const ScenarioScratch& left = scenario_scratch(last_scratch());
  name_stuck(left.schedule, explored.verdict);
  explored.schedules = left.schedules.load(std::memory_order_relaxed); // the process has ended
  explored.schedule = schedule::schedule_of(left.schedule.trace.taken());
  explored.steps = copy(left, scenario.bodies.size());
  explored.exhausted = explored.verdict.data.value("exhausted", false);
  if (explored.verdict.is_counterexample() && !explored.steps.empty()) {
    const Json& evidence = explored.verdict.evidence;
    const auto step = evidence.is_object() && evidence.contains("step") && evidence["step"].is_number()
                          ? evidence["step"].get<std::size_t>()
                          : explored.steps.size();
    explored.violated = std::min(step == 0 ? 0 : step - 1, explored.steps.size() - 1);
  }
  return explored;
}

namespace {
Exploration free_exploration() {
  Exploration e;
  e.scheduler = SchedulerKind::Free;
  return e;
}
} // namespace

CellSpec free_cell(const Scenario& scenario) {
  return to_cell(scenario, free_exploration());
}

Explored run_free(const Scenario& scenario) {
  return explore(scenario, free_exploration());
}

} // namespace proberace
