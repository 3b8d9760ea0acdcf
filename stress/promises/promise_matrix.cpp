#include "stress/promises/promise_matrix.h"

#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/scenario/explore.h"
#include "stress/scenario/threads_of_free_runs.h"

#include <fmt/format.h>

namespace proberace {

namespace {

Scenario workers(const std::string& strategy, std::vector<PlacedName> bodies, std::size_t threads) {
  return workers_on(strategy, std::move(bodies), threads,
                    make_pin_plan("across-cores", threads) ? "across-cores" : "same-pu");
}

// Armed once, executed, removed.
Scenario armed_throughout(const std::string& strategy, std::vector<PlacedName> bodies, std::size_t threads) {
  Scenario s = workers(strategy, std::move(bodies), threads);
  const auto all = all_of(s.bodies.size());
  s.threads.push_back(repeated(1, {insert(all), pause(2000), remove(all)}));
  return s;
}

// Two threads insert, or also remove, on shared and neighbouring sites while three threads execute them.
Scenario toggled(const std::string& strategy, bool remove_too) {
  Scenario s = workers(strategy, {{"nop", 0}, {"mov", 0}, {"add", 1}}, 3);
  if (!remove_too) {
    s.threads.push_back(repeated(1, {insert({0}), pause(300), insert({1}), pause(300)}));
    s.threads.push_back(repeated(1, {pause(150), insert({2}), pause(600)}));
    return s;
  }
  constexpr std::size_t kRounds = 5;
  s.threads.push_back(repeated(kRounds, {insert({0, 2}), pause(200), remove({0}), pause(50)}));
  s.threads.push_back(repeated(kRounds, {insert({1, 2}), pause(100), remove({1, 2}), pause(50)}));
  return s;
}

constexpr std::chrono::seconds kDeadline{10};
constexpr std::chrono::milliseconds kDeadlineUnpromised{1500};

CellSpec own_experiment(const std::string& strategy, Promise promise) {
  CellSpec spec;
  spec.experiment = "promise/" + std::string(name(promise));
  spec.parameters = Json{{"strategy", strategy}};
  // A hang is likely only where nothing is promised, and then need not be waited for.
  spec.deadline = (*make_prober(strategy))->promises().has(promise) ? kDeadline : kDeadlineUnpromised;
  return spec;
}

std::string verdict_word(const Verdict& v, bool promised) {
  if (v.is(Ending::Skipped))
    return "skipped";
  if (!promised)
    return "not-promised";
  return v.is(Ending::Held) ? "kept" : "broken";
}

} // namespace

CellSpec promise_cell(const std::string& strategy, Promise promise) {
  switch (promise) {
  case Promise::ExactCounts: return free_cell(armed_throughout(strategy, {{"mov", 0}, {"nop", 0}}, 4));
  case Promise::InsertionWhileRunning: return free_cell(toggled(strategy, false));
  case Promise::RemovalWhileRunning: return free_cell(toggled(strategy, true));
  default: return own_experiment(strategy, promise);
  }
}

namespace {
Verdict observe_as_it_is(const std::string& strategy, Promise promise) {
  Verdict verdict = run_cell(promise_cell(strategy, promise));
  // A site that is refused is not one the promise holds for.
  if (verdict.is(Ending::Held) && verdict.data.contains("first_refusal") &&
      verdict.data["first_refusal"].is_string()) {
    verdict.ending = Ending::Refused;
    verdict.summary = verdict.data["first_refusal"];
  }
  return verdict;
}
} // namespace

// Of a composed stepper the first part takes the instructions of nearly all experiments: each part comes first once.
Verdict observe_promise(const std::string& strategy, Promise promise) {
  Verdict verdict = observe_as_it_is(strategy, promise);
  for (const std::string& order : orders_of(strategy)) {
    if (!verdict.is(Ending::Held))
      break;
    verdict = observe_as_it_is(order, promise);
    if (!verdict.is(Ending::Held))
      verdict.summary = fmt::format("as {}: {}", order, verdict.summary);
  }
  return verdict;
}

PromiseRow try_promise(const std::string& strategy, Promise promise) {
  const Verdict verdict = observe_promise(strategy, promise);
  PromiseRow row;
  row.strategy = strategy;
  row.promise = promise;
  row.promised = (*make_prober(strategy))->promises().has(promise);
  row.observed = name(verdict.ending);
  row.verdict = verdict_word(verdict, row.promised);
  row.reason = verdict.is(Ending::Held) ? "" : verdict.summary;
  row.cell = promise_cell(strategy, promise).line();
  return row;
}

} // namespace proberace
