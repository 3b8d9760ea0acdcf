#include "stress/scenario/threads_of_free_runs.h"

#include "harness/machine/pin_plan.h"

#include <algorithm>
#include <numeric>

namespace proberace {

namespace {

Act act_on(ActKind kind, std::vector<std::size_t> bodies) {
  Act act;
  act.kind = kind;
  act.bodies = std::move(bodies);
  return act;
}

} // namespace

Act insert(std::vector<std::size_t> bodies) {
  return act_on(ActKind::Insert, std::move(bodies));
}

Act remove(std::vector<std::size_t> bodies) {
  return act_on(ActKind::Remove, std::move(bodies));
}

Act pause(std::size_t executions) {
  Act act;
  act.kind = ActKind::Pause;
  act.count = executions;
  return act;
}

std::vector<std::size_t> all_of(std::size_t bodies) {
  std::vector<std::size_t> all(bodies);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

ScenarioThread repeated(std::size_t rounds, std::vector<Act> acts) {
  return {std::move(acts), rounds};
}

ScenarioThread worker_thread(std::size_t number, std::size_t bodies, std::size_t jitter) {
  Act run = act_on(ActKind::Run, all_of(bodies));
  std::ranges::rotate(run.bodies, run.bodies.begin() + static_cast<std::ptrdiff_t>(number % bodies));
  run.times = kUntilDone;
  run.jitter = jitter;
  return {{std::move(run)}, 1, true};
}

ScenarioThread toggling_thread(std::size_t bodies, std::size_t toggle, std::size_t rounds) {
  return repeated(rounds, {insert(all_of(bodies)), pause(toggle), remove(all_of(bodies)), pause(toggle)});
}

ScenarioThread churning_thread(std::size_t rounds, std::size_t bodies) {
  return repeated(rounds, {act_on(ActKind::Spawn, all_of(bodies))});
}

std::size_t threads_of(const std::string& plan, std::size_t wanted) {
  const auto made = make_pin_plan(plan, wanted);
  return made ? made->cpus.size() : wanted;
}

Scenario workers_on(std::string strategy, std::vector<PlacedName> bodies, std::size_t workers,
                    std::string plan, std::size_t jitter) {
  Scenario s;
  s.strategy = std::move(strategy);
  s.bodies = std::move(bodies);
  s.plan = std::move(plan);
  const std::size_t places = threads_of(s.plan, workers);
  for (std::size_t w = 0; w < places; ++w)
    s.threads.push_back(worker_thread(w, s.bodies.size(), jitter));
  return s;
}

} // namespace proberace
