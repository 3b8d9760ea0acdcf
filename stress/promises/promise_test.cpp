// Every promise of every strategy is kept; in long runs what is not promised is observed as well (`check
// --all` always does), which costs a deadline for each that hangs.
#include "stress/promises/promise_matrix.h"

#include "stress/testing/expect_cell.h"

namespace proberace {

namespace {
class EveryPromise : public testing::TestWithParam<std::string> {};
} // namespace

// Signals land in the handler there, and their frames come over a copy that lies below it.
TEST(Promises, H24_H25_NoCopyOnTheStackIsReentrantWhereSignalsLandInTheHandler) {
  const auto reentrant = [](const char* strategy) {
    return (*make_prober(strategy))->promises().has(Promise::Reentrant);
  };
  EXPECT_FALSE(reentrant("signal/iretq:poke+stack-slot-nested"));
  EXPECT_TRUE(reentrant("poke+stack-slot-nested"));
  EXPECT_TRUE(reentrant("signal/iretq:poke+tls-slot-nested"));
}

TEST_P(EveryPromise, IsKept) {
  const Promises promised = (*make_prober(GetParam()))->promises();
  for (const PromiseText& text : kPromises) {
    if (!promised.has(text.value) && !long_run())
      continue;
    const PromiseRow row = try_promise(GetParam(), text.value);
    EXPECT_NE(row.verdict, "broken") << text.name << ": " << row.observed << ": " << row.reason
                                     << "\ncell: " << row.cell;
    EXPECT_FALSE(row.observed.empty());
    EXPECT_EQ(row.verdict == "not-promised", !row.promised && row.observed != "skipped") << text.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryPromise, testing::ValuesIn(strategies_promising({})), test_name);

} // namespace proberace
