// The child's side of a free run: each thread of the scenario on a thread of its own, as the kernel schedules it.
#include "harness/base/json.h"
#include "harness/base/threads.h"
#include "harness/cell/experiment.h"
#include "harness/machine/pin_plan.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/fresh_thread.h"
#include "stress/scenario/scenario_experiment.h"

#include <algorithm>
#include <deque>
#include <latch>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

namespace proberace {

namespace {

class FreeRun {
public:
  FreeRun(ScenarioRun& run, std::vector<int> cpus)
      : run_(run), cpus_(std::move(cpus)), all_here_(static_cast<std::ptrdiff_t>(run.threads()) + 1),
        others_done_(std::ranges::count_if(run.scenario().threads,
                                           [](const ScenarioThread& t) { return !runs_until_done(t); })) {}

  // Nothing if the run held.
  std::expected<std::optional<Verdict>, Error> run() {
    if (const Status opened = run_.open(); !opened)
      return std::unexpected(opened.error());
    if (const Status begun = run_.begin(); !begun)
      return std::unexpected(begun.error());
    std::deque<Performer> performers; // at addresses that stay
    std::size_t pinned = 0;
    for (std::size_t t = 0; t < run_.threads(); ++t) {
      const ScenarioThread& thread = run_.scenario().threads[t];
      performers.emplace_back(*this, t, thread.pinned ? cpus_[pinned++] : kAnyCpu);
    }
    all_here_.arrive_and_wait();
    others_done_.wait();
    run_.end_free_run();
    may_end_.count_down();
    for (Performer& p : performers)
      p.thread.join();
    return run_.judge();
  }

private:
  static constexpr int kAnyCpu = -1;
  static constexpr int kNice = 10;

  // One thread of the scenario, and what it needs while it runs.
  struct Performer {
    Performer(FreeRun& all, std::size_t thread_number, int on_cpu)
        : run(all), number(thread_number), cpu(on_cpu), thread(*this, stack) {}
    void operator()() { run.perform(number, cpu); }

    FreeRun& run;
    std::size_t number;
    int cpu;
    GuardedStack stack{};
    FreshThread thread; // the last: it begins at once
  };

  void perform(std::size_t thread, int cpu) {
    if (cpu != kAnyCpu)
      (void)pin_this_thread(cpu);
    const bool until_done = runs_until_done(run_.scenario().threads[thread]);
    if (until_done) // it always has something to execute: others need not wait for its CPU
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(current_thread()), kNice);
    run_.enlist(thread);
    all_here_.arrive_and_wait(); // signals find everyone
    run_.perform(thread);
    if (!until_done)
      others_done_.count_down();
    may_end_.wait();
  }

  ScenarioRun& run_;
  const std::vector<int> cpus_;
  std::latch all_here_, others_done_;
  std::latch may_end_{1}; // nobody sends signals any more: each thread has taken its own by then
};

} // namespace

Verdict free_verdict(const Scenario& scenario, const Exploration& exploration, Arena& arena, Text text,
                     std::unique_ptr<Prober> prober) {
  std::vector<int> cpus;
  if (const auto pinned =
          static_cast<std::size_t>(std::ranges::count(scenario.threads, true, &ScenarioThread::pinned));
      pinned != 0) {
    auto plan = make_pin_plan(scenario.plan, pinned);
    if (!plan)
      return verdict_of(plan.error());
    cpus = std::move(plan->cpus);
  }
  ::mallopt(M_ARENA_MAX, 1); // threads share one arena, so that one that is stopped can hold another's lock
  Conductor nobody;
  ScenarioRun run(scenario, arena, scenario_scratch(arena.scratch), nobody, std::move(text),
                  std::move(prober));
  if (!exploration.log.empty())
    if (const Status logging = run.log_to(exploration.log); !logging)
      return verdict_of(logging.error());
  auto broke = FreeRun(run, std::move(cpus)).run();
  const auto untested = [&](const Error& error) {
    if (!exploration.log.empty())
      ::unlink(exploration.log.c_str()); // nothing happened: there is nothing to keep
    return verdict_of(error);
  };
  if (!broke)
    return untested(broke.error());
  if (!*broke)
    if (const auto refused = run.refused_throughout())
      return untested(*refused);
  Json data = run.data();
  auto left = run.close(); // what it leaves behind matters less than what broke before
  if (!*broke)
    *broke = std::move(left);
  Verdict verdict = broke->value_or(held());
  data["paths"] = run.data()["paths"];
  verdict.data = std::move(data);
  if (const Status logged = run.close_log(verdict.data); !logged && verdict.is(Ending::Held))
    return verdict_of(logged.error());
  return verdict;
}

} // namespace proberace
