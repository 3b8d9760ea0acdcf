// A signal arrives before each instruction of a hit, in the program's code, in the handler and in copies (the act
// `interrupt`).
#include "stress/testing/expect_scenario.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class EachInstruction : public testing::TestWithParam<std::string> {};

// Those that trace their threads leave no room for another tracer.
std::vector<std::string> those_that_can_be_stepped() {
  auto names = strategies_promising({Promise::ExactCounts, Promise::Reentrant, Promise::RemovalWhileRunning});
  std::erase_if(names, [](const std::string& name) { return !facts_of(name).may_be_stepped(); });
  return names;
}

} // namespace

TEST_P(EachInstruction, H93_MayBeInterruptedByAHitOfAnother) {
  constexpr std::uint64_t kFewest = 20; // executions; it is some 300 where the handler lets signals in
  const auto scenario =
      scenario_from_text(fmt::format("strategy {}\nbodies A=mov B=add\narmed A B\n"
                                     "thread 0: interrupt A: run B; interrupt B: run A\n"
                                     "thread 1 rounds 20: remove A; insert A; remove B; insert B\n",
                                     GetParam()));
  ASSERT_TRUE(scenario);
  const Verdict v = run_free(*scenario).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, *scenario);
  EXPECT_GT(v.data.value("executions", std::uint64_t{0}), kFewest);
}

INSTANTIATE_TEST_SUITE_P(Strategies, EachInstruction, testing::ValuesIn(those_that_can_be_stepped()),
                         test_name);

} // namespace proberace
