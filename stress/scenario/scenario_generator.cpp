#include "stress/scenario/scenario_generator.h"

#include "harness/probe/registry.h"
#include "stress/scenario/drawn.h"
#include "stress/scenario/threads_of_free_runs.h"

#include <algorithm>

namespace proberace {

namespace {

// Bodies and threads are drawn freely and brought into range once their numbers are known.
constexpr std::size_t kFarIndex = 119; // divisible by few, so that each index is about as likely
constexpr std::size_t kMostExecutions = 300;

std::size_t fewest_bodies(const ActRow& row) {
  return row.form == ActForm::BodyRuns ? 2 : row.drawn == 0 ? 0 : 1;
}

rc::Gen<Act> act(const ActRow& row) {
  return rc::gen::map(rc::gen::tuple(some<std::size_t>(fewest_bodies(row), row.drawn, upto(0, kFarIndex)),
                                     upto(0, kFarIndex), upto(1, kMostExecutions)),
                      [&row](auto drawn) {
                        Act act;
                        act.kind = row.kind;
                        act.bodies = std::move(std::get<0>(drawn));
                        act.thread = row.form == ActForm::ThreadRuns ? std::get<1>(drawn) : 0;
                        act.count = row.form == ActForm::Count ? std::get<2>(drawn) : 0;
                        return act;
                      });
}

// All of them, where the name is no strategy's.
Promises promises_of(const std::string& strategy) {
  const auto prober = make_prober(strategy);
  return prober ? (*prober)->promises() : Promises::all();
}

// Each as often as its row says, among those with one of these traits.
template <typename Wanted> rc::Gen<Act> act_among(Wanted&& wanted) {
  std::vector<const ActRow*> rows;
  for (const ActRow& row : kActs)
    if (wanted(row))
      rows.insert(rows.end(), row.weight, &row);
  return rc::gen::mapcat(rc::gen::elementOf(rows), [](const ActRow* row) { return act(*row); });
}

rc::Gen<Act> ordinary_act() {
  return act_among([](const ActRow& row) { return row.has(kOrdinary); });
}

rc::Gen<Act> any_act() {
  constexpr std::size_t kOrdinaryShare = 3; // to one of the others
  return rc::gen::weightedOneOf<Act>(
      {{kOrdinaryShare, ordinary_act()},
       {1, act_among([](const ActRow& row) { return !row.has(kOrdinary) && !row.has(kFreeOnly); })}});
}

// The first that closes; what the others would do is to execute.
void let_one_thread_operate_if_it_closes(Scenario& s) {
  const auto closing =
      std::ranges::find_if(s.threads, [](const ScenarioThread& t) { return some_act_has(t, kCloses); });
  for (auto thread = s.threads.begin(); closing != s.threads.end() && thread != s.threads.end(); ++thread)
    for (Act& a : thread->acts)
      if (thread != closing && row_of(a.kind).has(kOperates | kCloses)) {
        a.kind = ActKind::Run;
        a.bodies.resize(1);
      }
}

void bring_into_range(Scenario& s) {
  for (std::size_t& body : s.armed)
    body %= s.bodies.size();
  for (ScenarioThread& thread : s.threads)
    for (Act& a : thread.acts) {
      for (std::size_t& body : a.bodies)
        body %= s.bodies.size();
      a.thread %= s.threads.size();
      if (row_of(a.kind).has(kFaults)) {
        s.bodies[a.bodies[0]].body = kFaultingBody;
        s.armed.push_back(a.bodies[0]);
      }
    }
  let_one_thread_operate_if_it_closes(s);
}

void leave_out_reentry(Scenario& s) {
  for (ScenarioThread& thread : s.threads)
    for (Act& act : thread.acts)
      if (row_of(act.kind).has(kReenters))
        act.kind = ActKind::Run;
}

// The kinds that have their turn: two acts seldom meet where each kind is one of twenty. In a free run those come first
// that a controlled run never does, then those that it seldom does. A pause meets nothing.
std::vector<const ActRow*> favourites(const ScenarioBounds& bounds) {
  const Promises promises = promises_of(bounds.strategy);
  std::vector<const ActRow*> rows;
  for (const ActRow& row : kActs)
    if (row.weight != 0 && row.kind != ActKind::Run && row.kind != ActKind::Pause &&
        !(bounds.controlled && row.has(kFreeOnly)) &&
        !(!bounds.controlled && row.has(kOperates) && row.has(kOrdinary)) &&
        (!row.needs || promises.has(*row.needs)) &&
        !(bounds.promised && row.has(kReenters) && !promises.has(Promise::Reentrant)))
      rows.push_back(&row);
  if (!bounds.controlled)
    std::ranges::stable_sort(rows, {}, [](const ActRow* row) {
      const bool seldom = row->has(kCostly) || row->has(kLastRound);
      return row->has(kFreeOnly) ? 0 : seldom ? 1 : 2;
    });
  return rows;
}

rc::Gen<Act> often(const ActRow& row) {
  constexpr std::size_t kFavourite = 2, kOrdinaryOnes = 3;
  return rc::gen::weightedOneOf<Act>({{kOrdinaryOnes, ordinary_act()}, {kFavourite, act(row)}});
}

// A third of all scenarios have none but ordinary acts, a third have one other kind.
rc::Gen<std::vector<std::vector<Act>>> acts_of_threads(const ScenarioBounds& bounds, std::uint64_t ordinal) {
  const auto threads = [&bounds](rc::Gen<Act> one) {
    return some(1, bounds.max_threads, some(1, bounds.max_acts, std::move(one)));
  };
  switch (ordinal % 3) {
  case 0: return threads(ordinary_act());
  case 1: return threads(any_act());
  default: {
    const auto rows = favourites(bounds);
    return threads(often(*rows[ordinal / 3 % rows.size()]));
  }
  }
}

// Every other free scenario has one kind often.
rc::Gen<std::vector<std::vector<Act>>> acts_of_controllers(const ScenarioBounds& bounds,
                                                           std::uint64_t ordinal) {
  constexpr std::size_t kControlsShare = 6; // to one of the others
  const auto controllers = [&bounds](rc::Gen<Act> one) {
    return some(1, bounds.max_controllers, some(1, bounds.max_acts, std::move(one)));
  };
  const auto rows = favourites(bounds);
  if (ordinal % 2 == 0)
    return controllers(often(*rows[ordinal / 2 % rows.size()]));
  return controllers(rc::gen::weightedOneOf<Act>(
      {{kControlsShare,
        act_among([](const ActRow& row) { return row.has(kOperates) || row.has(kFreeOnly); })},
       {1, act_among([](const ActRow& row) { return !row.has(kOperates) && !row.has(kFreeOnly); })}}));
}

rc::Gen<Scenario> controlled_scenario(const ScenarioBounds& bounds, std::uint64_t ordinal) {
  return rc::gen::map(
      rc::gen::tuple(some(1, bounds.max_bodies, placed_name(promises_of(bounds.strategy), bounds.max_pages)),
                     some(0, bounds.max_bodies, upto(0, kFarIndex)), acts_of_threads(bounds, ordinal),
                     rc::gen::weightedElement<bool>({{7, false}, {1, true}}),
                     rc::gen::weightedElement<bool>({{7, false}, {1, true}})),
      [bounds](auto parts) {
        Scenario s;
        s.strategy = bounds.strategy;
        s.plan = bounds.plan;
        s.bodies = std::move(std::get<0>(parts));
        s.armed = std::move(std::get<1>(parts));
        for (std::vector<Act>& acts : std::get<2>(parts))
          s.threads.push_back({std::move(acts)});
        s.reopened = std::get<3>(parts);
        s.unhandled = std::get<4>(parts);
        bring_into_range(s);
        return s;
      });
}

// What a controller has removed at the end of its acts is armed again: executions of clear sites are so much faster
// that few of all would be of armed ones.
void arm_at_the_end(std::vector<Act>& acts) {
  std::vector<std::size_t> clear;
  for (const Act& a : acts)
    if (a.kind == ActKind::Insert || a.kind == ActKind::Remove)
      for (const std::size_t body : a.bodies) {
        std::erase(clear, body);
        if (a.kind == ActKind::Remove)
          clear.push_back(body);
      }
  if (clear.empty())
    return;
  Act insert;
  insert.kind = ActKind::Insert;
  insert.bodies = std::move(clear);
  acts.push_back(std::move(insert));
}

// A close meets hits, signals and children wherever they are.
void close_at_the_end(Scenario& s) {
  const auto controller = std::ranges::find_if(s.threads, [](const ScenarioThread& t) {
    return std::ranges::any_of(t.acts, [](const Act& a) { return row_of(a.kind).has(kOperates); });
  });
  if (controller == s.threads.end() || some_act_has(s, kCloses))
    return;
  Act close;
  close.kind = ActKind::Close;
  controller->acts.push_back(std::move(close));
}

rc::Gen<Scenario> free_scenario(const ScenarioBounds& bounds, std::uint64_t ordinal) {
  return rc::gen::map(
      rc::gen::tuple(upto(1, bounds.max_threads),
                     some(1, bounds.max_bodies, placed_name(promises_of(bounds.strategy), bounds.max_pages)),
                     acts_of_controllers(bounds, ordinal), upto(1, bounds.max_rounds),
                     upto(0, bounds.max_churn), rc::gen::element<std::size_t>(0, 0, 100, 10'000),
                     some(0, bounds.max_bodies, upto(0, kFarIndex)),
                     rc::gen::weightedElement<bool>({{7, false}, {1, true}}),
                     rc::gen::weightedElement<bool>({{1, false}, {3, true}}),
                     rc::gen::weightedElement<bool>({{3, false}, {1, true}})),
      [bounds](auto parts) {
        auto& [workers, bodies, controllers, rounds, churned, jitter, armed, unhandled, armed_at_the_end,
               closed_at_the_end] = parts;
        Scenario s;
        s.strategy = bounds.strategy;
        s.plan = bounds.plan;
        s.bodies = std::move(bodies);
        s.armed = std::move(armed);
        s.unhandled = unhandled;
        for (std::size_t i = 0; i < workers; ++i)
          s.threads.push_back(worker_thread(i, s.bodies.size(), jitter));
        for (std::vector<Act>& acts : controllers)
          s.threads.push_back({std::move(acts), rounds});
        if (churned != 0)
          s.threads.push_back(churning_thread(churned, s.bodies.size()));
        if (closed_at_the_end)
          close_at_the_end(s);
        bring_into_range(s);
        for (ScenarioThread& thread : s.threads)
          if (armed_at_the_end && !some_act_has(thread, kCloses))
            arm_at_the_end(thread.acts);
        return s;
      });
}

} // namespace

ScenarioBounds free_bounds(std::string strategy, std::size_t workers) {
  ScenarioBounds bounds;
  bounds.strategy = std::move(strategy);
  bounds.max_threads = workers;
  bounds.max_acts = 8;
  bounds.max_bodies = 6;
  return bounds;
}

ScenarioBounds controlled_bounds(std::string strategy, std::size_t threads) {
  ScenarioBounds bounds;
  bounds.strategy = std::move(strategy);
  bounds.controlled = true;
  bounds.max_threads = std::min(threads, kMaxControlledThreads);
  return bounds;
}

rc::Gen<Scenario> scenario_generator(const ScenarioBounds& bounds, std::uint64_t ordinal) {
  auto any = bounds.controlled ? controlled_scenario(bounds, ordinal) : free_scenario(bounds, ordinal);
  if (!bounds.promised || promises_of(bounds.strategy).has(Promise::Reentrant))
    return any;
  return rc::gen::map(std::move(any), [](Scenario s) {
    leave_out_reentry(s);
    return s;
  });
}

rc::Gen<Scenario> scenario_generator(const ScenarioBounds& bounds) {
  constexpr std::size_t kAll = 6 * kActKinds; // each turn of either way
  return rc::gen::mapcat(upto(0, kAll - 1),
                         [bounds](std::size_t ordinal) { return scenario_generator(bounds, ordinal); });
}

} // namespace proberace
