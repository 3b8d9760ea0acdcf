// Free runs counted by outcome.
#include "harness/base/shell.h"
#include "stress/scenario/outcomes.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

Verdict ended(Ending ending, std::string property = "") {
  Verdict v;
  v.ending = ending;
  v.property = std::move(property);
  return v;
}

TEST(Outcomes, AreCountedByWhatWasSeen) {
  const History h = stress_history("poke+emulate", 2, {"same-pu", 10}, 3);
  Outcomes o;
  o.add(h, ended(Ending::Held));
  o.add(h, ended(Ending::Broken, "lost-hit"));
  o.add(h, ended(Ending::Broken, "lost-hit"));
  o.add(h, ended(Ending::Crashed));
  o.add(h, ended(Ending::Skipped));
  EXPECT_EQ(o.counts, (std::map<std::string, std::size_t>{
                          {"held", 1}, {"lost-hit", 2}, {"crashed", 1}, {"skipped", 1}}));
  EXPECT_EQ(o.counterexamples(), 3U);
  EXPECT_EQ(parse_cell(o.examples.at("lost-hit"))->parameters, to_cell(h).parameters);
}

TEST(StressHistories, DifferFromRunToRunAndComeBackFromTheirLine) {
  const History first = stress_history("jump", 3, {"across-cores", 100}, 1);
  const History second = stress_history("jump", 3, {"across-cores", 100}, 2);
  EXPECT_NE(first, second);
  EXPECT_NE(first.jitter, second.jitter);
  EXPECT_EQ(history_from(to_cell(first).parameters), first);
}

TEST(StressCommand, CountsOutcomesByPlanAndRate) {
  const Outcome o = run_proberace(
      "stress --strategy poke+xol-boost --threads 2 --plan same-pu --plan oversubscribed --toggle 5 "
      "--toggle 50 --runs 2 --budget 60s --json",
      "2>/dev/null");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out);
  ASSERT_EQ(report["rows"].size(), 4U);
  for (const Json& row : report["rows"]) {
    EXPECT_EQ(row["outcomes"].dump(), R"({"held":2})");
    EXPECT_GT(row["hits"].get<std::uint64_t>(), 0U);
  }
  EXPECT_EQ(run_proberace("stress --strategy poke+xol-boost --plan nowhere").status, 2);
}

// The racy baseline, run free: seen, counted, and with a cell to run again.
TEST(StressCommand, SeesTheRacyBaselineBreak) {
  const Outcome o = run_proberace(
      "stress --strategy poke+in-place --threads 2 --plan across-cores --toggle 100 --runs 20 --budget 60s",
      "2>/dev/null");
  if (o.status == 3)
    GTEST_SKIP() << o.out;
  EXPECT_EQ(o.status, 1) << o.out;
  EXPECT_NE(o.out.find("again: proberace hunt --cell"), std::string::npos) << o.out;
}

} // namespace

} // namespace proberace
