#include "stress/hunt/batch_seed.h"

#include <gtest/gtest.h>
#include <set>

namespace proberace {

// Trials of one hunt with seeds in a row must not invent the same programs.
TEST(Batches, HuntsFromSeedsInARowHaveNoneInCommon) {
  constexpr std::uint64_t kSeeds = 50;
  constexpr std::uint64_t kBatches = 50;
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    EXPECT_EQ(seed_of_batch(seed, 0), seed);
    for (std::uint64_t batch = 0; batch < kBatches; ++batch)
      seeds.insert(seed_of_batch(seed, batch));
  }
  EXPECT_EQ(seeds.size(), kSeeds * kBatches);
}

} // namespace proberace
