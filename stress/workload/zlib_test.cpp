// Real input: libz under probes gives the same output, and the same counts as the kernel's uprobes, site by
// site.
#include "stress/workload/zlib_check.h"

#include "stress/testing/expect_cell.h"

namespace proberace {

namespace {
class Zlib : public testing::TestWithParam<std::string> {};
} // namespace

TEST_P(Zlib, OutputAndCountsAreTheUnprobedOnesAndTheKernels) {
  ZlibOptions o;
  o.strategy = GetParam();
  o.sites = 24;
  o.bytes_per_file = 4096;
  const ZlibComparison c = check_zlib(o);
  ASSERT_TRUE(c.own.is(Ending::Held)) << c.own.summary;
  EXPECT_EQ(c.own.data["armed"], o.sites);
  EXPECT_GT(c.own.data["hits"], 100U);
  EXPECT_EQ(c.own.data["slot_steps"], c.own.data["hits"]) << "another path than out-of-line steps was taken";
  if (c.peer.is(Ending::Skipped))
    GTEST_SKIP() << "output is identical; no kernel uprobes to compare with: " << c.peer.summary;
  EXPECT_EQ(c.compared, o.sites);
  EXPECT_EQ(c.equal, c.compared);
  for (const std::string& line : c.differing)
    ADD_FAILURE() << line;
}

// Every armer with the same real input; 200 sites and more are `proberace counts`.
INSTANTIATE_TEST_SUITE_P(Strategies, Zlib,
                         testing::Values("poke+xol-vma", "stop-world+xol-vma", "pte-swap+xol-vma"),
                         test_name);

} // namespace proberace
