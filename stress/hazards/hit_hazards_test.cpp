// Hitting while others run: H20, H21, H22, H23. The racy baseline is run too: a property that it cannot fail
// shows nothing.
#include "stress/testing/expect_cell.h"

#include "harness/machine/pin_plan.h"

namespace proberace {

namespace {

class SeveralThreadsHit : public testing::TestWithParam<std::string> {};

History armed_throughout(const std::string& strategy, std::size_t threads, std::vector<PlacedName> bodies,
                         std::size_t executions) {
  History h;
  h.strategy = strategy;
  h.threads = threads;
  h.bodies = probeable(strategy, std::move(bodies));
  Event all{Action::Insert, {}, 0};
  for (std::size_t i = 0; i < h.bodies.size(); ++i)
    all.sites.push_back(i);
  // A pause ends after some time, too: several, so that a strategy whose hits are slow gets enough of them.
  constexpr std::size_t kPauses = 4;
  h.controllers = {{all}};
  for (std::size_t i = 0; i < kPauses; ++i)
    h.controllers[0].push_back(Event{Action::Pause, {}, executions / kPauses});
  return h;
}

} // namespace

TEST_P(SeveralThreadsHit, H20_TwoThreadsNeverPassUnseen) {
  const CellSpec spec = to_cell(armed_throughout(GetParam(), 2, {{"mov", 0}}, 8000));
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_GE(v.data["must"], 3000U);
  EXPECT_GE(v.data["hits"], v.data["must"]);
  expect_paths(GetParam(), v);
}

// push and call: executed twice, or skipped, they leave the stack wrong, and the body's caller sees it.
TEST_P(SeveralThreadsHit, H21_NobodyTrapsOnItsOwnStepOrSkipsIt) {
  const CellSpec spec = to_cell(armed_throughout(GetParam(), 2, {{"push", 0}, {"call", 0}}, 8000));
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_GE(v.data["must"], 3000U);
  expect_paths(GetParam(), v);
}

// The kernel has 31 out-of-line slots per process (arch/x86/kernel/uprobes.c, UPROBE_XOL_SLOT_BYTES in one
// page).
TEST_P(SeveralThreadsHit, H22_MoreThreadsAtOnceThanAnyPoolOfSlots) {
  History h = armed_throughout(GetParam(), 48, {{"mov", 0}}, 5000);
  h.plan = "oversubscribed";
  const CellSpec spec = to_cell(h);
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_GE(v.data["must"], 2000U);
  expect_paths(GetParam(), v);
}

// More short-lived threads than records are kept for: each hits and ends. Fails if a record's counts are
// dropped when another thread takes it over.
TEST_P(SeveralThreadsHit, H23_ThreadsThatEndLeaveTheirCountsAndTheirRoom) {
  History h = armed_throughout(GetParam(), 1, {{"mov", 0}, {"nop", 0}}, 100);
  h.churn = is_peer(GetParam()) ? 50 : 600;
  // Armed before the threads come and until the last is gone: pause until all have executed both bodies.
  h.controllers[0].back().executions = 1200;
  const CellSpec spec = to_cell(h);
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_GT(v.data["must"], 0U);
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
    const Verdict v = run_cell(to_cell(armed_throughout("poke+in-place", 2, {{"mov", 0}}, 8000)));
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
