// The child's side of a controlled run: one process, its threads kept, schedule after schedule.
#include "harness/base/json.h"
#include "harness/cell/experiment.h"
#include "harness/schedule/exhaustive.h"
#include "harness/schedule/scheduler.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_experiment.h"

#include <fmt/format.h>
#include <fstream>
#include <sched.h>
#include <thread>
#include <variant>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

class Controlled final : public Conductor {
public:
  explicit Controlled(schedule::Scheduler& scheduler) : scheduler_(scheduler) {}
  bool controls() const noexcept override { return true; }
  void step(const char* name, Address site) noexcept override { scheduler_.step(name, site); }
  void come(std::size_t thread) noexcept override { scheduler_.come(thread); }
  void await(std::size_t thread) noexcept override { scheduler_.await(thread); }
  void wait_until_gone(std::size_t thread) noexcept override { scheduler_.wait_until_gone(thread); }
  void go(std::size_t starter) noexcept override { scheduler_.go(starter); }
  void signal_sent(pid_t thread) noexcept override { scheduler_.signal_sent(thread); }
  void forked() noexcept override { scheduler_.leave_child_alone(); }
  std::uint32_t steps() const noexcept override { return scheduler_.steps(); }

private:
  schedule::Scheduler& scheduler_;
};

// All on one processor: handing over is then a switch, not a wake-up of a sleeping core.
void stay_on_this_cpu() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  ::sched_setaffinity(0, sizeof one, &one);
}

constexpr std::size_t kMixedDepths = 4;

// The choosers of an exploration, one schedule after the other.
class Choosers {
public:
  Choosers(const Exploration& e, const schedule::State& state)
      : e_(e), state_(state), exhaustive_(e.preemptions) {}

  schedule::Chooser& next() {
    const std::uint64_t seed = e_.seed + tried_++;
    switch (e_.scheduler) {
    case SchedulerKind::Random: return now_.emplace<schedule::RandomWalk>(seed);
    case SchedulerKind::Pct:
      if (most_choices_ == 0) // nothing to draw from yet
        return now_.emplace<schedule::RandomWalk>(seed);
      return now_.emplace<schedule::Pct>(seed, e_.depth, most_choices_);
    case SchedulerKind::Exhaustive: return now_.emplace<schedule::Following>(exhaustive_.next());
    case SchedulerKind::Mixed:
      if (tried_ % 2 == 0)
        return now_.emplace<schedule::RandomWalk>(seed);
      return now_.emplace<schedule::Pct>(seed, 1 + tried_ / 2 % kMixedDepths, most_choices_);
    case SchedulerKind::Guided: return now_.emplace<schedule::Guided>(e_.guide, state_);
    case SchedulerKind::Toward: return now_.emplace<schedule::Toward>(e_.guide, state_);
    case SchedulerKind::Free:
    case SchedulerKind::Given: break;
    }
    return now_.emplace<schedule::Following>(e_.given);
  }

  // Notes the schedule that was run. False once there is none left.
  bool after(std::span<const schedule::Step> steps) {
    const std::size_t choices = schedule::choices_in(steps);
    knowing_ = choices > most_choices_ ? 0 : knowing_ + 1;
    most_choices_ = std::max(most_choices_, choices);
    if (e_.scheduler == SchedulerKind::Exhaustive && !exhaustive_.advance(steps)) {
      exhausted_ = exhaustive_.exhausted();
      return false;
    }
    return tried_ < e_.schedules;
  }
  bool exhausted() const noexcept { return exhausted_; }
  // Of a schedule, so far; and how many were chosen when it was known.
  std::size_t most_choices() const noexcept { return most_choices_; }
  std::uint64_t knowing() const noexcept { return knowing_; }

private:
  const Exploration& e_;
  const schedule::State& state_;
  schedule::Exhaustive exhaustive_;
  std::variant<std::monostate, schedule::RandomWalk, schedule::Pct, schedule::Following, schedule::Guided,
               schedule::Toward>
      now_;
  std::uint64_t tried_ = 0;
  std::size_t most_choices_ = 0;
  std::uint64_t knowing_ = 0;
  bool exhausted_ = false;
};

// The steps of each schedule, a line each: "0:execute 2:insert ...", to compare them with a model.
class StepRecord {
public:
  // To nothing, if there is no name.
  explicit StepRecord(const std::string& path) {
    if (!path.empty())
      file_.open(path, std::ios::app);
  }
  bool usable() const { return file_.good(); }
  void add(std::span<const schedule::Step> steps) {
    if (!file_.is_open())
      return;
    for (const schedule::Step& step : steps)
      file_ << +step.task << ':' << step.name << ' ';
    file_ << std::endl; // what ends the process must not take it along
  }

private:
  std::ofstream file_;
};

class Threads {
public:
  Threads(schedule::Scheduler& scheduler, ScenarioRun& run) : scheduler_(scheduler) {
    for (std::size_t i = 1; i < run.threads(); ++i)
      threads_.emplace_back([&scheduler, &run, i] {
        run.enlist(i);
        while (scheduler.idle(i))
          run.perform(i);
      });
  }
  ~Threads() {
    scheduler_.stop();
    for (std::thread& t : threads_)
      t.join();
  }

private:
  schedule::Scheduler& scheduler_;
  std::vector<std::thread> threads_;
};

} // namespace

Verdict controlled_verdict(const Scenario& scenario, const Exploration& exploration, Arena& arena, Text text,
                           std::unique_ptr<Prober> prober) {
  StepRecord record(exploration.record);
  if (!record.usable())
    return verdict_of(Error{ErrorKind::BadInput, {}, exploration.record + ": cannot be written"});
  stay_on_this_cpu();
  ScenarioScratch& scratch = scenario_scratch(arena.scratch);
  schedule::Scheduler scheduler(scratch.schedule);
  Controlled conductor(scheduler);
  auto owned =
      std::make_unique<ScenarioRun>(scenario, arena, scratch, conductor, std::move(text), std::move(prober));
  ScenarioRun& run = *owned;
  // Counted before it begins: what ends the process in arming belongs to it. Read after the process has
  // ended.
  const auto count = [&](std::uint64_t begun) { scratch.schedules.store(begun, std::memory_order_relaxed); };
  const auto refused = [&](const Error& error) {
    count(0);
    return verdict_of(error);
  };
  count(1);
  if (const Status opened = run.open(); !opened)
    return refused(opened.error());
  const auto began = Clock::now();
  Choosers choosers(exploration, scratch.schedule);
  std::uint64_t steps = 0;
  std::optional<Verdict> broke;
  bool more = true;
  std::uint64_t begun_schedules = 0;
  {
    run.enlist(0);
    const Threads threads(scheduler, run);
    scheduler.gather(run.threads(), 2 * run.threads());
    do {
      count(++begun_schedules);
      Status begun;
      {
        const schedule::Scheduler::Aside aside(scheduler);
        begun = run.begin();
      }
      if (!begun && begun_schedules == 1)
        return refused(begun.error());
      if (!begun) { // what it took before, it takes: the runs since have left something behind
        broke = broken(property_name(BrokenProperty::Refused), describe(begun.error()));
        break;
      }
      schedule::Chooser& chooser = choosers.next();
      scheduler.begin(chooser);
      run.perform(0);
      scheduler.finish();
      steps += scheduler.steps();
      record.add(scratch.schedule.trace.taken());
      more = choosers.after(scratch.schedule.trace.taken());
      const schedule::Scheduler::Aside aside(scheduler);
      broke = run.judge();
    } while (!broke && more && Clock::now() - began < exploration.budget);
  }
  const bool closes = !broke; // a broken prober may wait without end for a thread to leave
  if (closes)
    broke = run.close();
  Verdict verdict = broke.value_or(held());
  verdict.data = run.data();
  verdict.data["steps"] = steps;
  verdict.data["most_choices"] = choosers.most_choices();
  verdict.data["knowing"] = choosers.knowing();
  verdict.data["exhausted"] = closes && choosers.exhausted();
  verdict.data["seconds"] = std::chrono::duration<double>(Clock::now() - began).count();
  if (!closes)
    (void)owned.release(); // the process ends anyway
  return verdict;
}

} // namespace proberace
