// RapidCheck: random histories from several threads against the model, each in a cell, for every strategy
// that promises it. RC_PARAMS="seed=N" runs the same histories again; "max_success=N" runs more.
#include "stress/scenario/history_generator.h"
#include "stress/testing/expect_cell.h"

#include <cstdlib>
#include <rapidcheck/gtest.h>

namespace proberace {

namespace {

class RandomHistories : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(RandomHistories, HoldWhatTheStrategyPromises) {
  HistoryBounds bounds;
  bounds.strategy = GetParam();
  if (removal_is_dear(GetParam())) {
    bounds.max_rounds = 1;
    bounds.max_events = 4;
    bounds.max_churn = 1;
  }
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  if (std::getenv("RC_PARAMS") == nullptr)
    params.maxSuccess = is_peer(GetParam()) ? 4 : removal_is_dear(GetParam()) ? 12 : 20;
  params.maxDiscardRatio = 100; // the smallest histories have hardly an execution that must count
  if (long_run())
    params.maxSuccess *= 25;
  std::uint64_t must = 0;
  std::string unjudged; // the last history in which no execution had to count
  const auto result = rc::detail::checkTestable(
      [&] {
        History h = *history_generator(bounds);
        h.bodies = probeable(h.strategy, std::move(h.bodies));
        // What the strategy does not promise of an instruction is a finding, not a failure (the table has
        // it).
        const Promises promised = (*make_prober(h.strategy))->promises();
        for (const PlacedName& b : h.bodies)
          RC_PRE(promised.has(Promise::RedZoneIntact) || b.body != "red-zone");
        const Verdict v = run_cell(to_cell(h));
        const std::uint64_t judged = v.data.value("must", std::uint64_t{0});
        must += judged;
        if (v.is_counterexample())
          RC_FAIL(std::string(name(v.ending)) + ": " + v.property + ": " + v.summary + "\n" +
                  v.evidence.dump(1) + "\ncell: " + to_cell(h).line());
        if (judged == 0)
          unjudged = std::string(name(v.ending)) + ": " + v.summary + "\ncell: " + to_cell(h).line();
        RC_PRE(judged != 0); // else it is only another history without a crash, and does not count as one
      },
      rc::detail::TestMetadata{}, params);
  std::ostringstream out;
  rc::detail::printResultMessage(result, out);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>())
      << out.str() << "\nseed " << params.seed << "\nlast unjudged: " << unjudged;
  EXPECT_GT(must, 0U) << "no execution of any history must have counted: nothing was tested";
}

INSTANTIATE_TEST_SUITE_P(Strategies, RandomHistories,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts,
                                                                 Promise::InsertionWhileRunning,
                                                                 Promise::RemovalWhileRunning})),
                         test_name);

} // namespace proberace
