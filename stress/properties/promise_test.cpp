// Every promise of every strategy is kept; in long runs what is not promised is observed as well (`check
// --all` always does), which costs a deadline for each that hangs.
#include "stress/properties/promise_matrix.h"

#include "stress/properties/expect_cell.h"

namespace proberace {

namespace {
class EveryPromise : public testing::TestWithParam<std::string> {};
} // namespace

TEST_P(EveryPromise, IsKept) {
  const Promises promised = (*make_prober(GetParam()))->promises();
  for (const PromiseText& text : all_promises()) {
    if (!promised.has(text.promise) && !long_run())
      continue;
    const PromiseRow row = try_promise(GetParam(), text.promise);
    EXPECT_NE(row.verdict, "broken") << text.name << ": " << row.observed << ": " << row.reason
                                     << "\ncell: " << row.cell;
    EXPECT_FALSE(row.observed.empty());
    EXPECT_EQ(row.verdict == "not-promised", !row.promised && row.observed != "skipped") << text.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryPromise, testing::ValuesIn(strategies_promising({})), test_name);

} // namespace proberace
