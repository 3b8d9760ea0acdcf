// Hitting while others run: H20, H21, H22, H23. The racy baseline is run too: a property that it cannot fail
// shows nothing.
#include "stress/testing/expect_scenario.h"

#include "harness/machine/pin_plan.h"

namespace proberace {

namespace {

class SeveralThreadsHit : public testing::TestWithParam<std::string> {};

// Armed before the threads start: every execution must be counted.
Scenario armed_throughout(const std::string& strategy, std::size_t threads, std::vector<PlacedName> bodies,
                          std::size_t executions, const std::string& plan = "across-cores") {
  Scenario s = workers_on(strategy, probeable(strategy, std::move(bodies)), threads, plan);
  s.armed = all_of(s.bodies.size());
  for (ScenarioThread& thread : s.threads)
    thread.acts[0].times = executions / s.threads.size() / s.bodies.size();
  return s;
}

std::uint64_t executions_of(const Scenario& s) {
  std::uint64_t all = 0;
  for (const ScenarioThread& thread : s.threads)
    all += thread.acts[0].times * s.bodies.size();
  return all;
}

} // namespace

TEST_P(SeveralThreadsHit, H20_TwoThreadsNeverPassUnseen) {
  const Scenario s = armed_throughout(GetParam(), 2, {{"mov", 0}}, 8000);
  const Verdict v = run_free(s).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, s);
  EXPECT_EQ(v.data["must"], executions_of(s));
  EXPECT_EQ(v.data["hits"], executions_of(s));
  expect_paths(GetParam(), v);
}

// push and call: executed twice, or skipped, they leave the stack wrong, and the body's caller sees it.
TEST_P(SeveralThreadsHit, H21_NobodyTrapsOnItsOwnStepOrSkipsIt) {
  const Scenario s = armed_throughout(GetParam(), 2, {{"push", 0}, {"call", 0}}, 8000);
  const Verdict v = run_free(s).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, s);
  EXPECT_EQ(v.data["must"], executions_of(s));
  expect_paths(GetParam(), v);
}

// The kernel has 31 out-of-line slots per process (arch/x86/kernel/uprobes.c, UPROBE_XOL_SLOT_BYTES in one
// page).
TEST_P(SeveralThreadsHit, H22_MoreThreadsAtOnceThanAnyPoolOfSlots) {
  const Scenario s = armed_throughout(GetParam(), 48, {{"mov", 0}}, 5000, "oversubscribed");
  const Verdict v = run_free(s).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, s);
  EXPECT_EQ(v.data["must"], executions_of(s));
  expect_paths(GetParam(), v);
}

// More short-lived threads than records are kept for: each hits and ends. Fails if a record's counts are
// dropped when another thread takes it over.
TEST_P(SeveralThreadsHit, H23_ThreadsThatEndLeaveTheirCountsAndTheirRoom) {
  Scenario s = armed_throughout(GetParam(), 1, {{"mov", 0}, {"nop", 0}}, 100);
  const std::size_t born = facts_of(GetParam()).removal == Removal::Slow ? 50 : 600;
  s.threads.push_back(churning_thread(born, s.bodies.size()));
  const Verdict v = run_free(s).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, s);
  EXPECT_EQ(v.data["must"], 100 + 2 * born);
  expect_paths(GetParam(), v);
}

INSTANTIATE_TEST_SUITE_P(Strategies, SeveralThreadsHit,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts})), test_name);

// The property can see the race it is for: of a few cells, at least one must show the baseline lose a hit or
// worse.
TEST(Baseline, H20_H21_InPlaceSteppingIsCaughtWithTwoThreads) {
  if (const auto plan = make_pin_plan("across-cores", 2); !plan)
    GTEST_SKIP() << plan.error().message;
  constexpr int kCells = 10;
  for (int i = 0; i < kCells; ++i) {
    const Verdict v = run_free(armed_throughout("poke+in-place", 2, {{"mov", 0}}, 8000)).verdict;
    if (!v.is(Ending::Held)) {
      EXPECT_TRUE(v.is_counterexample()) << v.summary;
      return;
    }
  }
  FAIL() << "in-place stepping raced in none of " << kCells << " cells";
}

// On one thread the baseline is right: what the test above catches is the race, not the stepper.
TEST(Baseline, InPlaceSteppingIsExactOnOneThread) {
  CellSpec spec;
  spec.experiment = "promise/all-control-flow";
  spec.parameters = Json{{"strategy", "poke+in-place"}};
  const Verdict v = run_cell(spec);
  EXPECT_TRUE(v.is(Ending::Held)) << v.summary;
}

} // namespace proberace
