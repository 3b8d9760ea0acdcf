#include "stress/hunt/scenario_hunt.h"

#include "harness/base/json.h"
#include "harness/cell/endings.h"
#include "stress/hunt/simpler.h"

#include <algorithm>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kShrinkControlledAtLeast{30};
constexpr int kFreeTries = 3; // a race that shows now and then must not stop the shrinking at once
constexpr std::size_t kMostPreemptions = 4;
constexpr std::size_t kSchedulesPerBound = 5'000; // when looking for fewer preemptions
constexpr std::size_t kSchedulesPerShrink = 100;  // of a smaller scenario, after the way the larger one took

// Many bugs need a certain scenario and hardly a schedule, some need a schedule that is rare: one scenario of
// so many is explored in full, unless it is costly, the others this much less.
constexpr std::uint64_t kInFull = 8;
constexpr std::size_t kShorter = 60;

constexpr std::chrono::minutes kSeriesBudget{1};
constexpr std::uint64_t kFreshTries = 50;
constexpr std::size_t kMostRuns = 2; // what one leaves behind, the next may take

// A run with a fork or an open costs some twenty others.
bool is_costly(const Scenario& scenario) {
  return scenario.reopened || some_act_has(scenario, kCostly);
}

// The threads it begins with and those that they start.
std::size_t thread_count(const Scenario& scenario) {
  std::size_t n = scenario.threads.size();
  for (const ScenarioThread& thread : scenario.threads)
    n += static_cast<std::size_t>(std::ranges::count_if(
        thread.acts, [](const Act& act) { return row_of(act.kind).has(kStartsThread); }));
  return n;
}

class ScenarioHunt {
public:
  using Failure = ScenarioFailure;

  explicit ScenarioHunt(const ScenarioHuntOptions& options)
      : options_(options), until_(Clock::now() + options.limits.budget), property_(options.property) {
    report_.seed = options.limits.seed;
  }

  ScenarioHuntReport run() {
    SearchLimits limits = options_.limits;
    if (!is_free())
      limits.shrink_at_least = std::max(limits.shrink_at_least, kShrinkControlledAtLeast);
    shrink_for_ = std::max<Clock::duration>(limits.shrink_at_least, limits.budget / 2);
    auto result =
        options_.only
            ? search(limits, rc::gen::just(*options_.only), *this)
            : search_in_turn<Scenario>(
                  limits,
                  [this](std::uint64_t ordinal) { return scenario_generator(options_.bounds, ordinal); },
                  *this);
    report_.shrunk = result.shrunk;
    report_.found = result.found ? std::move(result.found) : std::move(unsteady_);
    if (report_.found && report_.shrunk && !report_.found->series) {
      make_simpler();
      if (!is_free())
        with_few_preemptions(*report_.found);
    }
    if (report_.found && report_.shrunk && is_free())
      report_.found->recurs = recurs_free(report_.found->scenario);
    return std::move(report_);
  }

  // For search().
  std::optional<Failure> attempt(const Scenario& scenario) {
    Exploration tried = exploration_of(scenario);
    Explored explored = explore(scenario, tried);
    note(scenario, explored);
    if (!is_free())
      continue_after_unwanted(scenario, tried, explored);
    if (!wanted(explored.verdict))
      return std::nullopt;
    property_ = what_broke(explored.verdict); // nothing else takes its place
    Failure failure{scenario, std::move(explored)};
    // Earlier schedules of the same process may have left something behind that it took (a slot filled
    // already). The hunt is for the doings of a process of its own; but a failure that does not recur there
    // is better than nothing.
    if (is_free())
      return failure;
    failure.recurs = recurs(failure, failure.explored.schedule) || breaks_afresh(failure) ||
                     recurs_as_series(failure, tried);
    if (failure.series || is_steady(failure))
      return failure;
    if (!unsteady_)
      unsteady_ = std::move(failure);
    property_ = options_.property;
    return std::nullopt;
  }

  std::optional<Failure> attempt_smaller(const Scenario& scenario) {
    if (is_free())
      return smaller_free(scenario);
    Explored explored = try_smaller(scenario);
    note_shrink();
    if (!wanted(explored.verdict))
      return std::nullopt;
    Failure failure{scenario, std::move(explored)};
    if (!recurs(failure, failure.explored.schedule) && !breaks_afresh(failure))
      return std::nullopt;
    way_ = failure.explored.steps;
    return failure;
  }

  bool worth_shrinking(const Failure& failure) {
    way_ = failure.explored.steps;
    shrink_until_ = Clock::now() + shrink_for_;
    return failure.recurs &&
           (!options_.worth_shrinking || options_.worth_shrinking(failure.explored.verdict));
  }

  bool over() const {
    const bool machine_lacks = report_.skipped != 0 && report_.skipped == report_.scenarios;
    return machine_lacks || (options_.stop_after != 0 && report_.schedules >= options_.stop_after) ||
           (options_.only && report_.scenarios != 0 && !more_of_only_);
  }

private:
  bool is_free() const noexcept { return options_.exploration.is_free(); }

  bool wanted(const Verdict& verdict) const {
    return verdict.is_counterexample() &&
           (property_.empty() || verdict.property == property_ || name(verdict.ending) == property_);
  }

  // The schedules that were left, in new processes, where something else than the property looked for broke.
  // `rest` is the series of the last one then.
  void continue_after_unwanted(const Scenario& scenario, Exploration& rest, Explored& explored) {
    while (explored.verdict.is_counterexample() && !wanted(explored.verdict) && !over() &&
           Clock::now() < until_ && rest.scheduler != SchedulerKind::Exhaustive &&
           explored.schedules < rest.schedules) {
      rest.seed += explored.schedules;
      rest.schedules -= explored.schedules;
      explored = explore(scenario, rest);
      add(explored);
    }
  }

  Exploration exploration_of(const Scenario& next) const {
    Exploration e = options_.exploration;
    if (is_free())
      return e;
    e.seed = options_.limits.seed + report_.schedules;
    if (!options_.only && e.scheduler != SchedulerKind::Exhaustive &&
        (report_.scenarios % kInFull != 0 || is_costly(next)))
      e.schedules = std::max<std::size_t>(1, e.schedules / kShorter);
    e.budget = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(until_ - Clock::now()),
                          std::chrono::milliseconds(1), e.budget);
    if (options_.stop_after != 0)
      e.schedules = std::min<std::size_t>(e.schedules, options_.stop_after - report_.schedules);
    return e;
  }

  std::optional<Failure> smaller_free(const Scenario& scenario) {
    for (int tries = 0; tries < kFreeTries; ++tries) {
      Explored explored = run_free(scenario);
      note_shrink();
      if (wanted(explored.verdict))
        return Failure{scenario, std::move(explored)};
    }
    return std::nullopt;
  }

  bool recurs_free(const Scenario& scenario) const {
    for (int tries = 0; tries < kFreeTries; ++tries)
      if (wanted(run_free(scenario).verdict))
        return true;
    return false;
  }

  // For a smaller scenario, which the larger one's schedule cannot guide.
  Exploration anew() const {
    Exploration e;
    e.seed = options_.limits.seed;
    e.scheduler = SchedulerKind::Mixed;
    e.schedules = kSchedulesPerShrink;
    return e;
  }

  // First the way that the larger scenario took, as far as it is there.
  Explored try_smaller(const Scenario& scenario) const {
    Exploration e;
    e.seed = options_.limits.seed;
    e.schedules = 1;
    e.scheduler = SchedulerKind::Guided;
    for (const TakenStep& step : way_)
      e.guide.push_back({static_cast<std::uint8_t>(step.task), step.name});
    Explored explored = explore(scenario, e);
    if (wanted(explored.verdict))
      return explored;
    return explore(scenario, anew());
  }

  void note(const Scenario& scenario, const Explored& explored) {
    const Verdict& verdict = explored.verdict;
    ++report_.scenarios;
    report_.exhausted += explored.exhausted ? 1 : 0;
    report_.threads = std::max<std::uint64_t>(report_.threads, thread_count(scenario));
    add(explored);
    report_.data = verdict.data;
    report_.skipped += verdict.is(Ending::Skipped) ? 1 : 0;
    if (verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)) {
      ++report_.refusals;
      if (!report_.refused)
        report_.refused = verdict;
    }
    more_of_only_ = verdict.is(Ending::Held) && !explored.exhausted;
    if (options_.progress)
      options_.progress(report_);
  }

  void note_shrink() {
    ++report_.shrinks;
    if (options_.progress)
      options_.progress(report_);
  }

  void add(const Explored& explored) {
    const Json& data = explored.verdict.data;
    report_.schedules += explored.schedules;
    report_.steps += data.value("steps", std::uint64_t{0});
    // A process that never saw so many choices did not draw from them.
    if (const auto choices = data.value("most_choices", std::uint64_t{0}); choices >= report_.most_choices) {
      report_.knowing =
          (choices == report_.most_choices ? report_.knowing : 0) + data.value("knowing", std::uint64_t{0});
      report_.most_choices = choices;
    }
    report_.add(data);
  }

  void make_simpler() {
    for (bool better = true; better && Clock::now() < shrink_until_;) {
      better = false;
      for (const Scenario& scenario : simpler(report_.found->scenario)) {
        if (Clock::now() >= shrink_until_)
          return;
        if (auto failure = attempt_smaller(scenario)) {
          report_.found = std::move(failure);
          better = true;
          break;
        }
      }
    }
  }

  // Iterative context bounding: the fewest preemptions that still do it; then without each switch that can
  // go.
  void with_few_preemptions(Failure& failure) const {
    Exploration e;
    e.scheduler = SchedulerKind::Exhaustive;
    e.schedules = kSchedulesPerBound;
    for (e.preemptions = 0; e.preemptions <= kMostPreemptions && Clock::now() < shrink_until_;
         ++e.preemptions) {
      const Explored explored = explore(failure.scenario, e);
      if (wanted(explored.verdict) && recurs(failure, explored.schedule))
        return;
    }
    if (recurs(failure, failure.explored.schedule))
      without_switches(failure);
  }

  // True if a process of its own breaks under this schedule, run once or again. Its doings are then the
  // failure's.
  bool recurs(Failure& failure, const schedule::Schedule& given) const {
    Exploration e;
    e.scheduler = SchedulerKind::Given;
    e.given = given;
    for (e.schedules = 1; e.schedules <= kMostRuns; ++e.schedules)
      if (Explored explored = explore(failure.scenario, e); wanted(explored.verdict)) {
        failure.explored = std::move(explored);
        failure.runs = failure.explored.schedules;
        return true;
      }
    return false;
  }

  // True if it breaks each time. What depends on more than its schedule, such as where the kernel maps memory, can
  // hardly be made smaller, and is reported only if nothing better is found.
  bool is_steady(const Failure& failure) const {
    constexpr int kTimes = 4;
    if (!failure.recurs ||
        failure.explored.verdict.is(Ending::Hung)) // each time it would take its whole deadline
      return failure.recurs;
    Exploration e;
    e.scheduler = SchedulerKind::Given;
    e.given = failure.explored.schedule;
    e.schedules = failure.runs;
    for (int n = 0; n < kTimes; ++n)
      if (!wanted(explore(failure.scenario, e).verdict))
        return false;
    return true;
  }

  // True if a process of its own breaks when it runs all of these, the last one that which broke: it takes
  // what the earlier ones left behind.
  bool recurs_as_series(Failure& failure, Exploration series) const {
    series.schedules = failure.explored.schedules;
    series.budget = kSeriesBudget;
    Explored explored = explore(failure.scenario, series);
    if (!wanted(explored.verdict))
      return false;
    failure.explored = std::move(explored);
    failure.series = series;
    return true;
  }

  // True if it breaks as the first schedule of a process, under some schedule. Its doings are then the
  // failure's.
  bool breaks_afresh(Failure& failure) const {
    Exploration e;
    e.scheduler = SchedulerKind::Random;
    e.schedules = 1;
    for (e.seed = options_.limits.seed; e.seed < options_.limits.seed + kFreshTries; ++e.seed)
      if (const Explored explored = explore(failure.scenario, e); wanted(explored.verdict))
        return recurs(failure, explored.schedule);
    return false;
  }

  void without_switches(Failure& failure) const {
    for (std::size_t i = failure.explored.schedule.size(); i-- > 0 && Clock::now() < shrink_until_;) {
      if (i >= failure.explored.schedule.size())
        continue;
      schedule::Schedule fewer = failure.explored.schedule;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      (void)recurs(failure, fewer);
    }
  }

  const ScenarioHuntOptions& options_;
  const Clock::time_point until_;
  std::string property_; // looked for; empty for any. Once something was found, the property that broke
  std::vector<TakenStep> way_{}; // of the smallest failure so far
  std::optional<Failure> unsteady_{};
  Clock::duration shrink_for_{};
  Clock::time_point shrink_until_{};
  bool more_of_only_ = true;
  ScenarioHuntReport report_;
};

} // namespace

ScenarioHuntReport hunt_scenarios(const ScenarioHuntOptions& options) {
  return ScenarioHunt(options).run();
}

} // namespace proberace
