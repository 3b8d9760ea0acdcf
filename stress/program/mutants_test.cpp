// The command that hunts seeded bugs, on two of them: one that shows at once, and one that no controlled run
// can show.
#include "harness/cell/verdict.h"
#include "stress/cli/shell.h"

#include <gtest/gtest.h>

namespace proberace {

TEST(Mutants, AreBuiltHuntedAndReported) {
  const Outcome o = run_proberace(
      "mutants --only lock-taken-twice --only poke-not-serialised --budget 3s --json", "2>/dev/null");
  EXPECT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  ASSERT_TRUE(report.is_object()) << o.out;
  ASSERT_EQ(report["rows"].size(), 2U) << o.out;
  EXPECT_EQ(report["rows"][0]["verdict"], "caught") << o.out;
  EXPECT_EQ(report["rows"][0]["property"], "deadlock") << o.out;
  EXPECT_EQ(report["rows"][0]["replayed"], report["rows"][0]["replays"]) << o.out;
  EXPECT_EQ(report["rows"][1]["verdict"], "not-observable") << o.out;
  EXPECT_GT(report["rows"][1]["schedules"], 100) << o.out;
}

TEST(Mutants, OneThatIsNotThereIsRefused) {
  const Outcome o = run_proberace("mutants --only nonsense");
  EXPECT_EQ(o.status, 2) << o.out;
  EXPECT_NE(o.out.find("no mutant is called 'nonsense'"), std::string::npos) << o.out;
}

} // namespace proberace
