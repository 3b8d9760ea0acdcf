#include "harness/result/statistics.h"

#include <gtest/gtest.h>

namespace proberace {

TEST(Statistics, MedianOfOddAndEven) {
  EXPECT_DOUBLE_EQ(median_of({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median_of({4, 1, 2, 3}), 2.5);
}

TEST(Statistics, IntervalHoldsTheMedianAndIgnoresOneOutlier) {
  const Estimate e = estimate({10, 11, 12, 13, 14, 15, 16, 17, 1000});
  EXPECT_EQ(e.n, 9U);
  EXPECT_DOUBLE_EQ(e.median, 14);
  EXPECT_LE(e.low, e.median);
  EXPECT_GE(e.high, e.median);
  EXPECT_LT(e.high, 1000);
  EXPECT_LT(e.low, e.high);
}

TEST(Statistics, SameSamplesSameEstimate) {
  const std::vector<double> samples{5, 3, 8, 1, 9, 2};
  EXPECT_DOUBLE_EQ(estimate(samples).low, estimate(samples).low);
}

} // namespace proberace
