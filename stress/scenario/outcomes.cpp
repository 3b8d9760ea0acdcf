#include "stress/scenario/outcomes.h"

#include "harness/cell/endings.h"
#include "stress/code/body.h"

#include <array>

namespace proberace {

namespace {

constexpr std::size_t kTogglings = 60; // of each run
constexpr std::array<std::size_t, 4> kJitters{0, 30, 300, 3000};

} // namespace

void Outcomes::add(const History& history, const Verdict& verdict) {
  const std::string outcome = what_broke(verdict);
  ++counts[outcome];
  if (verdict.data.is_object()) {
    executions += verdict.data.value("executions", std::uint64_t{0});
    hits += verdict.data.value("hits", std::uint64_t{0});
  }
  if (verdict.is_counterexample())
    examples.try_emplace(outcome, to_cell(history).line());
  if ((verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)) && !not_run)
    not_run = verdict;
}

std::size_t Outcomes::counterexamples() const {
  std::size_t n = 0;
  for (const auto& [outcome, count] : counts)
    n += examples.contains(outcome) ? count : 0;
  return n;
}

History stress_history(const std::string& strategy, std::size_t threads, const StressCondition& condition,
                       std::size_t run) {
  const auto bodies = all_bodies();
  History h;
  h.strategy = strategy;
  h.plan = condition.plan;
  h.threads = threads;
  // Two on one page, one on another: what is done to one must not be seen at the others.
  for (std::size_t i = 0; i < 3; ++i)
    h.bodies.push_back({std::string(bodies[(run + i * bodies.size() / 3) % bodies.size()].name()), i / 2});
  const std::vector<std::size_t> all{0, 1, 2};
  h.controllers = {{{Action::Insert, all, 0},
                    {Action::Pause, {}, condition.toggle},
                    {Action::Remove, all, 0},
                    {Action::Pause, {}, condition.toggle}}};
  h.rounds = kTogglings;
  h.jitter = kJitters[run % kJitters.size()];
  return h;
}

} // namespace proberace
