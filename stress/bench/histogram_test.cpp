#include "stress/bench/histogram.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <vector>

namespace proberace {

RC_GTEST_PROP(Histogram, PercentilesAreWithinOneBucket, (std::vector<std::uint32_t> raw)) {
  RC_PRE(!raw.empty());
  Histogram h;
  for (const std::uint32_t v : raw)
    h.add(v);
  std::sort(raw.begin(), raw.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(raw.size()) + 0.5);
    const std::uint64_t exact = raw[std::max<std::size_t>(rank, 1) - 1];
    const std::uint64_t seen = h.percentile(share);
    RC_ASSERT(seen >= exact);
    RC_ASSERT(seen <= exact + exact / 32 + 1);
  }
}

TEST(Histogram, EmptyHasNoPercentile) {
  EXPECT_EQ(Histogram{}.percentile(0.5), 0U);
}

} // namespace proberace
