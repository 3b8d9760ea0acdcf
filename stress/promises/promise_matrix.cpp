#include "stress/promises/promise_matrix.h"

#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/scenario/history.h"

namespace proberace {

namespace {

Event on_all(Action action, std::size_t sites) {
  Event e{action, {}, 0};
  for (std::size_t i = 0; i < sites; ++i)
    e.sites.push_back(i);
  return e;
}

constexpr Event pause_for(std::size_t executions) {
  Event e;
  e.executions = executions;
  return e;
}

History of(const std::string& strategy, std::vector<PlacedName> bodies, std::size_t threads) {
  History h;
  h.strategy = strategy;
  h.plan = make_pin_plan("across-cores", threads) ? "across-cores" : "same-pu";
  h.threads = threads;
  h.bodies = std::move(bodies);
  return h;
}

// Armed once, executed, removed.
History armed_throughout(const std::string& strategy, std::vector<PlacedName> bodies, std::size_t threads) {
  History h = of(strategy, std::move(bodies), threads);
  const std::size_t n = h.bodies.size();
  h.controllers = {{on_all(Action::Insert, n), pause_for(2000), on_all(Action::Remove, n)}};
  return h;
}

// Two controllers that insert, or also remove, on shared and neighbouring sites while three threads execute
// them.
History toggled(const std::string& strategy, bool remove_too) {
  History h = of(strategy, {{"nop", 0}, {"mov", 0}, {"add", 1}}, 3);
  if (!remove_too) {
    h.controllers = {{{Action::Insert, {0}}, pause_for(300), {Action::Insert, {1}}, pause_for(300)},
                     {pause_for(150), {Action::Insert, {2}}, pause_for(600)}};
    return h;
  }
  h.controllers = {{{Action::Insert, {0, 2}}, pause_for(200), {Action::Remove, {0}}, pause_for(50)},
                   {{Action::Insert, {1, 2}}, pause_for(100), {Action::Remove, {1, 2}}, pause_for(50)}};
  h.rounds = 5;
  return h;
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
  case Promise::ExactCounts: return to_cell(armed_throughout(strategy, {{"mov", 0}, {"nop", 0}}, 4));
  case Promise::InsertionWhileRunning: return to_cell(toggled(strategy, false));
  case Promise::RemovalWhileRunning: return to_cell(toggled(strategy, true));
  default: return own_experiment(strategy, promise);
  }
}

PromiseRow try_promise(const std::string& strategy, Promise promise) {
  const CellSpec spec = promise_cell(strategy, promise);
  Verdict verdict = run_cell(spec);
  // A site that is refused is not one the promise holds for.
  if (verdict.is(Ending::Held) && verdict.data.contains("first_refusal") &&
      verdict.data["first_refusal"].is_string()) {
    verdict.ending = Ending::Refused;
    verdict.summary = verdict.data["first_refusal"];
  }
  PromiseRow row;
  row.strategy = strategy;
  row.promise = promise;
  row.promised = (*make_prober(strategy))->promises().has(promise);
  row.observed = name(verdict.ending);
  row.verdict = verdict_word(verdict, row.promised);
  row.reason = verdict.is(Ending::Held) ? "" : verdict.summary;
  row.cell = spec.line();
  return row;
}

} // namespace proberace
