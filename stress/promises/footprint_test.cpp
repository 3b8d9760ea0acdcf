// H16 as seen from outside the process: what a strategy changes, and that nothing is left. H74: threads' TLS and
// stacks are executable only while something is armed.
#include "stress/testing/expect_cell.h"

namespace proberace {

namespace {

class Footprints : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(Footprints, H16_AfterCloseTheProcessIsWhatItWas) {
  CellSpec spec;
  spec.experiment = "footprint";
  spec.parameters = Json{{"strategy", GetParam()}};
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_EQ(v.data["residue"]["writable_executable_bytes"], 0) << v.data.dump(1);
  // A strategy reports of itself what is seen from outside, as far as both can be counted.
  EXPECT_EQ(v.data["armed"]["writable_executable_bytes"], v.data["claimed"]["writable_executable_bytes"])
      << v.data.dump(1);
  EXPECT_EQ(v.data["armed"]["signal_handlers"], v.data["claimed"]["signal_handlers"]) << v.data.dump(1);
  EXPECT_EQ(v.data["armed"]["processes"], v.data["claimed"]["processes"]) << v.data.dump(1);
}

// Two threads hit the sites. The kernel's [uprobes] mappings stay after the last uprobe is gone, which is a
// finding.
INSTANTIATE_TEST_SUITE_P(Strategies, Footprints, testing::ValuesIn(ours_promising({Promise::ExactCounts})),
                         test_name);

} // namespace proberace
