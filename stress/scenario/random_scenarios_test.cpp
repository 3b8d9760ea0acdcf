// RapidCheck: random scenarios from several threads against the model, each in a cell, for every strategy
// that promises it. RC_PARAMS="seed=N" runs the same scenarios again; "max_success=N" runs more.
#include "stress/scenario/scenario_generator.h"
#include "stress/testing/expect_scenario.h"

#include <cstdlib>
#include <rapidcheck/gtest.h>

namespace proberace {

namespace {

class RandomScenarios : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(RandomScenarios, HoldWhatTheStrategyPromises) {
  ScenarioBounds bounds = free_bounds(GetParam());
  if (removal_is_costly(GetParam())) {
    bounds.max_rounds = 1;
    bounds.max_acts = 4;
    bounds.max_churn = 1;
  }
  bounds.promised = true;
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  if (std::getenv("RC_PARAMS") == nullptr)
    params.maxSuccess = facts_of(GetParam()).removal == Removal::Slow ? 4
                        : removal_is_costly(GetParam())               ? 12
                                                                      : 20;
  params.maxDiscardRatio = 100; // the smallest scenarios have hardly an execution that must count
  if (long_run())
    params.maxSuccess *= 25;
  std::uint64_t must = 0;
  std::string unjudged; // the last scenario in which no execution had to count
  std::string broke; // the last that broke: RapidCheck runs the smallest once more, and a race may then hold
  const auto result = rc::detail::checkTestable(
      [&] {
        Scenario s = *scenario_generator(bounds);
        s.bodies = probeable(s.strategy, std::move(s.bodies));
        const Verdict v = run_free(s).verdict;
        const std::uint64_t judged = v.data.value("must", std::uint64_t{0});
        must += judged;
        if (v.is_counterexample()) {
          broke = std::string(name(v.ending)) + ": " + v.property + ": " + v.summary + "\n" +
                  v.evidence.dump(1) + "\n" + text_of(s);
          RC_FAIL(broke);
        }
        if (judged == 0)
          unjudged = std::string(name(v.ending)) + ": " + v.summary + "\n" + text_of(s);
        RC_PRE(judged != 0); // else it is only another scenario without a crash, and does not count as one
      },
      rc::detail::TestMetadata{}, params);
  std::ostringstream out;
  rc::detail::printResultMessage(result, out);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>())
      << out.str() << "\nseed " << params.seed << "\nlast unjudged: " << unjudged
      << "\nlast that broke: " << broke;
  EXPECT_GT(must, 0U) << "no execution of any scenario must have counted: nothing was tested";
}

INSTANTIATE_TEST_SUITE_P(Strategies, RandomScenarios,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts,
                                                                 Promise::InsertionWhileRunning,
                                                                 Promise::RemovalWhileRunning})),
                         test_name);

} // namespace proberace
