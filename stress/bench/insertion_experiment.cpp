// The cost of arming and disarming one site while threads execute it.
#include "harness/result/statistics.h"
#include "stress/bench/clocks.h"
#include "stress/bench/runners.h"

#include <chrono>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

Verdict run_insertion(const Json& parameters, Arena&) {
  const std::string strategy = parameters.at("strategy");
  const std::size_t threads = parameters.at("threads");
  const bool slow = facts_of(strategy).removal == Removal::Slow;
  const int rounds = (slow ? 1 : 15) * (parameters.value("full", false) ? 3 : 1);

  const auto plan =
      make_pin_plan(parameters.at("plan").get<std::string>(), std::max<std::size_t>(threads, 1));
  if (!plan)
    return verdict_of(plan.error());
  const Placement placement{body_named("mov"), 0};
  auto opened = ProbedText::open(strategy, {&placement, 1});
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  const Runners runners(probed, 0, std::span(plan->cpus).first(threads));

  std::vector<double> insert;
  std::vector<double> remove;
  for (int i = 0; i < rounds; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300)); // let the threads run unprobed, then probed
    auto begin = Clock::now();
    if (const Status inserted = probed.insert_all(); !inserted)
      return verdict_of(inserted.error());
    insert.push_back(nanoseconds_since(begin));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    begin = Clock::now();
    if (const Status removed = probed.remove_all(); !removed)
      return verdict_of(removed.error());
    remove.push_back(nanoseconds_since(begin));
  }
  Verdict v;
  v.summary = "measured";
  v.data = Json{{"insert_ns", median_of(insert)}, {"remove_ns", median_of(remove)}, {"rounds", rounds}};
  return v;
}

const bool insertion_experiment_registered = register_experiment("bench/insertion", &run_insertion);

} // namespace

} // namespace proberace
