#include "stress/scenario/outcomes.h"

#include "harness/base/json.h"
#include "harness/cell/endings.h"
#include "stress/code/body.h"
#include "stress/scenario/threads_of_free_runs.h"

#include <array>

namespace proberace {

namespace {

constexpr std::size_t kTogglings = 60; // of each run
constexpr std::array<std::size_t, 4> kJitters{0, 30, 300, 3000};

} // namespace

void Outcomes::add(const Scenario& scenario, const Verdict& verdict) {
  const std::string outcome = what_broke(verdict);
  ++counts[outcome];
  if (verdict.data.is_object()) {
    executions += verdict.data.value("executions", std::uint64_t{0});
    hits += verdict.data.value("hits", std::uint64_t{0});
  }
  if (verdict.is_counterexample())
    examples.try_emplace(outcome, scenario, verdict);
  if ((verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)) && !not_run)
    not_run = verdict;
}

std::size_t Outcomes::counterexamples() const {
  std::size_t n = 0;
  for (const auto& [outcome, count] : counts)
    n += examples.contains(outcome) ? count : 0;
  return n;
}

Scenario stress_scenario(const std::string& strategy, std::size_t workers, const StressCondition& condition,
                         std::size_t run) {
  const auto bodies = all_bodies();
  constexpr std::size_t kBodies = 3;
  // Two on one page, one on another: neighbours must not notice what is done to one.
  std::vector<PlacedName> placed;
  for (std::size_t i = 0; i < kBodies; ++i)
    placed.push_back(
        {std::string(bodies[(run + i * bodies.size() / kBodies) % bodies.size()].name()), i / 2});
  Scenario s =
      workers_on(strategy, std::move(placed), workers, condition.plan, kJitters[run % kJitters.size()]);
  s.threads.push_back(toggling_thread(kBodies, condition.toggle, kTogglings));
  return s;
}

} // namespace proberace
