// Every promise of every strategy is kept, and what is not promised is observed all the same.
#include "stress/properties/promise_matrix.h"

#include "stress/properties/expect_cell.h"

namespace proberace {

namespace {
class EveryPromise : public testing::TestWithParam<std::string> {};
} // namespace

TEST_P(EveryPromise, IsKept) {
  for (const PromiseText& text : all_promises()) {
    const PromiseRow row = try_promise(GetParam(), text.promise);
    EXPECT_NE(row.verdict, "broken") << text.name << ": " << row.observed << ": " << row.reason
                                     << "\ncell: " << row.cell;
    EXPECT_FALSE(row.observed.empty());
    EXPECT_EQ(row.verdict == "not-promised", !row.promised && row.observed != "skipped") << text.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryPromise, testing::ValuesIn(strategies_promising({})), test_name);

} // namespace proberace
