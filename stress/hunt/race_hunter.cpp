#include "stress/hunt/race_hunter.h"

#include "harness/cell/endings.h"
#include "stress/hunt/batch_seed.h"
#include "stress/hunt/quiet_batch.h"

#include <algorithm>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kProgramsPerBatch = 50;
constexpr std::chrono::seconds kShrinkAtLeast{30};
constexpr std::size_t kMostPreemptions = 4;
constexpr std::size_t kSchedulesPerBound = 5'000; // when looking for fewer preemptions
constexpr std::size_t kSchedulesPerShrink = 100;  // of a smaller program, after the way the larger one took

// Many bugs need a certain program and hardly a schedule, some need a schedule that is rare: one program of
// so many is explored in full, unless it is dear, the others this much less.
constexpr std::uint64_t kInFull = 4;
constexpr std::size_t kShorter = 16;

constexpr std::chrono::minutes kSeriesBudget{1};
constexpr std::uint64_t kFreshTries = 50;
constexpr std::size_t kMostRuns = 2; // what one leaves behind, the next may take

// Whether some thread has it fault.
bool faults(const Program& program, std::size_t body) {
  return std::ranges::any_of(program.threads, [body](const std::vector<Act>& acts) {
    return std::ranges::find(acts, Act{ActKind::Fault, {body}, 0}) != acts.end();
  });
}

// A run with a fork or an open costs some twenty others.
bool is_dear(const Program& program) {
  const auto forks = [](const Act& act) { return act.kind == ActKind::Fork || act.kind == ActKind::Exec; };
  return program.reopened || std::ranges::any_of(program.threads, [&](const std::vector<Act>& acts) {
           return std::ranges::any_of(acts, forks);
         });
}

// Programs that say the same with less, which RapidCheck's shrinking does not come upon: a probe armed before
// the threads start instead of by one of them, plain executions, plainer bodies, one page, a prober opened
// once.
std::vector<Program> plainer(const Program& program) {
  std::vector<Program> all;
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    for (std::size_t i = 0; i < program.threads[t].size(); ++i)
      if (const Act act = program.threads[t][i];
          act.kind == ActKind::Insert && (program.threads[t].size() > 1 || program.threads.size() == 1)) {
        Program& p = all.emplace_back(program);
        p.threads[t].erase(p.threads[t].begin() + static_cast<std::ptrdiff_t>(i));
        p.armed.insert(p.armed.end(), act.sites.begin(), act.sites.end());
      }
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    for (std::size_t i = 0; i < program.threads[t].size(); ++i)
      if (const Act& act = program.threads[t][i];
          act.kind != ActKind::Execute && act.kind != ActKind::Insert && act.kind != ActKind::Remove)
        all.emplace_back(program).threads[t][i] = Act{ActKind::Execute, {act.sites[0]}, 0};
  for (std::size_t b = 0; b < program.bodies.size(); ++b)
    for (const PlacedName& plain : {PlacedName{"mov", 0}, PlacedName{program.bodies[b].body, 0}})
      if (program.bodies[b] != plain && !(faults(program, b) && plain.body != kFaultingBody))
        all.emplace_back(program).bodies[b] = plain;
  if (program.reopened)
    all.emplace_back(program).reopened = false;
  return all;
}

// Those it begins with and those they start.
std::size_t thread_count(const Program& program) {
  std::size_t n = program.threads.size();
  for (const auto& acts : program.threads)
    n += static_cast<std::size_t>(std::ranges::count_if(acts, spawns, &Act::kind));
  return n;
}

class RaceHunter {
public:
  explicit RaceHunter(const RaceHuntOptions& options)
      : options_(options), until_(Clock::now() + options.budget), property_(options.property) {
    report_.seed = options.seed;
  }

  RaceReport run() {
    for (std::uint64_t batch = 0; !over(); ++batch)
      run_quietly(seed_of_batch(options_.seed, batch), kProgramsPerBatch,
                  [this] { holds(*program_generator(options_.bounds)); });
    if (report_.found && report_.shrunk && !report_.found->series) {
      make_plainer();
      with_few_preemptions(*report_.found);
    }
    return std::move(report_);
  }

private:
  bool wanted(const Verdict& verdict) const {
    return verdict.is_counterexample() &&
           (property_.empty() || verdict.property == property_ || name(verdict.ending) == property_);
  }

  bool over() const {
    return report_.found || Clock::now() >= until_ ||
           (report_.refused && report_.refused->is(Ending::Skipped)) ||
           (options_.stop_after != 0 && report_.schedules >= options_.stop_after) ||
           (options_.programs != 0 && report_.programs >= options_.programs);
  }

  // The property. Once the time is up everything holds, which ends the batch, or the shrinking, where it
  // stands.
  void holds(const Program& program) {
    const bool shrinking = report_.found.has_value();
    if (shrinking ? Clock::now() >= shrink_until_ : over())
      return;
    Exploration tried = shrinking ? anew() : exploration_of(program);
    Explored explored = shrinking ? try_smaller(program) : explore(program, tried);
    note(program, explored, shrinking);
    if (!shrinking)
      go_on_after_unwanted(program, tried, explored);
    if (!wanted(explored.verdict))
      return;
    // Earlier schedules of the same process may have left something behind that it took (a slot filled
    // already). What counts is what a process of its own does; but what does not recur there is better than
    // nothing.
    Race race{program, std::move(explored)};
    if (!shrinking)
      property_ = what_broke(race.explored.verdict); // nothing else takes its place
    race.recurs =
        recurs(race, race.explored.schedule) || breaks_afresh(race) || recurs_as_series(race, tried);
    if (shrinking && !race.recurs)
      return;
    if (!shrinking) {
      report_.shrunk =
          race.recurs && (!options_.worth_shrinking || options_.worth_shrinking(race.explored.verdict));
      shrink_until_ = Clock::now();
      if (report_.shrunk)
        shrink_until_ += std::max<Clock::duration>(kShrinkAtLeast, options_.budget / 2);
    }
    report_.found = std::move(race);
    RC_FAIL("broken");
  }

  // Where something else than what is looked for broke: the schedules that were left, in new processes, each of
  // which `rest` is then the series of.
  void go_on_after_unwanted(const Program& program, Exploration& rest, Explored& explored) {
    while (explored.verdict.is_counterexample() && !wanted(explored.verdict) && !over() &&
           rest.scheduler != SchedulerKind::Exhaustive && explored.schedules < rest.schedules) {
      rest.seed += explored.schedules;
      rest.schedules -= explored.schedules;
      explored = explore(program, rest);
      add(explored);
    }
  }

  Exploration exploration_of(const Program& next) const {
    Exploration e = options_.exploration;
    e.seed = options_.seed + report_.schedules;
    if (e.scheduler != SchedulerKind::Exhaustive && (report_.programs % kInFull != 0 || is_dear(next)))
      e.schedules = std::max<std::size_t>(1, e.schedules / kShorter);
    e.budget = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(until_ - Clock::now()),
                          std::chrono::milliseconds(1), e.budget);
    if (options_.stop_after != 0)
      e.schedules = std::min<std::size_t>(e.schedules, options_.stop_after - report_.schedules);
    return e;
  }

  // Of a smaller program, for which the larger one's way is no guide.
  Exploration anew() const {
    Exploration e;
    e.seed = options_.seed;
    e.scheduler = SchedulerKind::Mixed;
    e.schedules = kSchedulesPerShrink;
    return e;
  }

  // First the way the larger program took, as far as it is there.
  Explored try_smaller(const Program& program) const {
    Exploration e;
    e.seed = options_.seed;
    e.schedules = 1;
    e.scheduler = SchedulerKind::Guided;
    for (const TakenStep& step : report_.found->explored.steps)
      e.guide.push_back({static_cast<std::uint8_t>(step.task), step.name});
    Explored explored = explore(program, e);
    if (wanted(explored.verdict))
      return explored;
    return explore(program, anew());
  }

  void note(const Program& program, const Explored& explored, bool shrinking) {
    const Verdict& verdict = explored.verdict;
    if (shrinking) {
      ++report_.shrinks;
    } else {
      ++report_.programs;
      report_.exhausted += explored.exhausted ? 1 : 0;
      report_.threads = std::max<std::uint64_t>(report_.threads, thread_count(program));
      add(explored);
    }
    if (verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)) {
      report_.refusals += shrinking ? 0 : 1;
      if (!report_.refused)
        report_.refused = verdict;
    }
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

  void make_plainer() {
    for (bool better = true; better && Clock::now() < shrink_until_;) {
      better = false;
      for (Program& program : plainer(report_.found->program)) {
        if (Clock::now() >= shrink_until_)
          return;
        Explored explored = try_smaller(program);
        note(program, explored, true);
        Race race{std::move(program), std::move(explored)};
        if (wanted(race.explored.verdict) && (recurs(race, race.explored.schedule) || breaks_afresh(race))) {
          report_.found = std::move(race);
          better = true;
          break;
        }
      }
    }
  }

  // Iterative context bounding: the fewest preemptions that still do it; then without each switch that can
  // go.
  void with_few_preemptions(Race& race) const {
    Exploration e;
    e.scheduler = SchedulerKind::Exhaustive;
    e.schedules = kSchedulesPerBound;
    for (e.preemptions = 0; e.preemptions <= kMostPreemptions && Clock::now() < shrink_until_;
         ++e.preemptions) {
      const Explored explored = explore(race.program, e);
      if (wanted(explored.verdict) && recurs(race, explored.schedule))
        return;
    }
    if (recurs(race, race.explored.schedule))
      without_switches(race);
  }

  // Whether a process of its own breaks under this schedule, run once or again; what it did is then the
  // race's.
  bool recurs(Race& race, const schedule::Schedule& given) const {
    Exploration e;
    e.scheduler = SchedulerKind::Given;
    e.given = given;
    for (e.schedules = 1; e.schedules <= kMostRuns; ++e.schedules)
      if (Explored explored = explore(race.program, e); wanted(explored.verdict)) {
        race.explored = std::move(explored);
        race.runs = race.explored.schedules;
        return true;
      }
    return false;
  }

  // Whether a process of its own breaks when it runs all of these, the last one that which broke: what the
  // earlier ones left behind, it takes.
  bool recurs_as_series(Race& race, Exploration series) const {
    series.schedules = race.explored.schedules;
    series.budget = kSeriesBudget;
    Explored explored = explore(race.program, series);
    if (!wanted(explored.verdict))
      return false;
    race.explored = std::move(explored);
    race.series = series;
    return true;
  }

  // Whether it breaks as the first schedule of a process, under some schedule; what it did is then the
  // race's.
  bool breaks_afresh(Race& race) const {
    Exploration e;
    e.scheduler = SchedulerKind::Random;
    e.schedules = 1;
    for (e.seed = options_.seed; e.seed < options_.seed + kFreshTries; ++e.seed)
      if (const Explored explored = explore(race.program, e); wanted(explored.verdict))
        return recurs(race, explored.schedule);
    return false;
  }

  void without_switches(Race& race) const {
    for (std::size_t i = race.explored.schedule.size(); i-- > 0 && Clock::now() < shrink_until_;) {
      if (i >= race.explored.schedule.size())
        continue;
      schedule::Schedule fewer = race.explored.schedule;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      (void)recurs(race, fewer);
    }
  }

  const RaceHuntOptions& options_;
  const Clock::time_point until_;
  std::string property_; // what is looked for; empty for any. When something was found, what it broke
  Clock::time_point shrink_until_{};
  RaceReport report_;
};

} // namespace

RaceReport hunt_races(const RaceHuntOptions& options) {
  return RaceHunter(options).run();
}

} // namespace proberace
