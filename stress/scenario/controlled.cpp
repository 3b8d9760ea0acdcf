#include "stress/scenario/controlled.h"

#include "stress/scenario/controlled_scratch.h"
#include "stress/scenario/program_properties.h"

#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

constexpr std::array<std::string_view, 7> kSchedulers{"random", "pct",    "exhaustive", "given",
                                                      "mixed",  "guided", "toward"};
constexpr std::chrono::seconds kGrace{20}; // beyond the budget: a schedule that makes no step hangs

CellSpec cell_of(const Program& program, const Exploration& e) {
  Json guide = Json::array();
  for (const schedule::GuideStep& step : e.guide)
    guide.push_back(Json::array({step.task, step.name}));
  CellSpec spec;
  spec.experiment = "controlled";
  spec.parameters = Json{{"program", to_json(program)},
                         {"scheduler", name(e.scheduler)},
                         {"seed", e.seed},
                         {"schedules", e.schedules},
                         {"depth", e.depth},
                         {"preemptions", e.preemptions},
                         {"schedule", text_of(e.given)},
                         {"guide", std::move(guide)},
                         {"record", e.record},
                         {"budget_ms", e.budget.count()}};
  spec.deadline = e.budget + kGrace;
  return spec;
}

std::vector<TakenStep> copy(std::span<const schedule::Step> taken) {
  std::vector<TakenStep> steps;
  for (const schedule::Step& s : taken)
    steps.push_back({s.name, s.site, s.task, s.before, s.preempted()});
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
  verdict.property = deadlock ? broken_property::kDeadlock : broken_property::kProgress;
  verdict.summary = fmt::format(
      "{}: {}", deadlock ? "no thread can go on" : fmt::format("no end after {} steps", schedule::kMaxSteps),
      where_tasks_stand(state));
  verdict.evidence = Json::object();
}

} // namespace

std::string_view name(SchedulerKind kind) noexcept {
  return kSchedulers[static_cast<std::size_t>(kind)];
}

std::expected<SchedulerKind, Error> scheduler_named(std::string_view name) {
  for (std::size_t i = 0; i < kSchedulers.size(); ++i)
    if (kSchedulers[i] == name)
      return static_cast<SchedulerKind>(i);
  return std::unexpected(
      Error{ErrorKind::BadInput,
            {},
            fmt::format("no scheduler is called '{}': one is random, pct, exhaustive", name)});
}

std::string text_of(const schedule::Schedule& schedule) {
  std::vector<std::string> switches;
  for (const schedule::Switch& s : schedule)
    switches.push_back(fmt::format("{}:{}", s.step, s.task));
  return fmt::format("{}", fmt::join(switches, ","));
}

std::expected<schedule::Schedule, Error> schedule_from(std::string_view text) {
  schedule::Schedule schedule;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    schedule::Switch s;
    auto step = std::from_chars(at, end, s.step);
    if (step.ec != std::errc{} || step.ptr == end || *step.ptr != ':')
      break;
    auto task = std::from_chars(step.ptr + 1, end, s.task);
    if (task.ec != std::errc{} || s.task >= schedule::kMaxTasks ||
        (!schedule.empty() && schedule.back().step >= s.step))
      break;
    schedule.push_back(s);
    if (task.ptr == end)
      return schedule;
    if (*task.ptr != ',')
      break;
    at = task.ptr + 1;
  }
  if (text.empty())
    return schedule;
  return std::unexpected(Error{
      ErrorKind::BadInput, {}, fmt::format("'{}' is no schedule: STEP:TASK,... with ascending steps", text)});
}

Explored explore(const Program& program, const Exploration& exploration) {
  Explored explored;
  explored.verdict = run_cell(cell_of(program, exploration));
  const ControlledScratch& left = controlled_scratch(last_scratch());
  name_stuck(left.schedule, explored.verdict);
  explored.schedules = left.schedules.load(std::memory_order_relaxed); // the process has ended
  const auto taken = left.schedule.trace.taken();
  explored.schedule = schedule::schedule_of(taken);
  explored.steps = copy(taken);
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

} // namespace proberace
