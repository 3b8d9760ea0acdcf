// Free runs counted by outcome.
#include "harness/base/shell.h"
#include "stress/scenario/outcomes.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

Verdict ended(Ending ending, std::string property = "") {
  Verdict v;
  v.ending = ending;
  v.property = std::move(property);
  return v;
}

TEST(Outcomes, AreCountedByWhatWasSeen) {
  const Scenario s = stress_scenario("poke+emulate", 2, {"same-pu", 10}, 3);
  Outcomes o;
  o.add(s, ended(Ending::Held));
  o.add(s, ended(Ending::Broken, "lost-hit"));
  o.add(s, ended(Ending::Broken, "lost-hit"));
  o.add(s, ended(Ending::Crashed));
  o.add(s, ended(Ending::Skipped));
  EXPECT_EQ(o.counts, (std::map<std::string, std::size_t>{
                          {"held", 1}, {"lost-hit", 2}, {"crashed", 1}, {"skipped", 1}}));
  EXPECT_EQ(o.counterexamples(), 3U);
  EXPECT_EQ(o.examples.at("lost-hit").first, s);
  EXPECT_EQ(o.examples.at("lost-hit").second.property, "lost-hit");
}

TEST(StressScenarios, DifferFromRunToRunAndComeBackFromTheirText) {
  const Scenario first = stress_scenario("jump", 3, {"across-cores", 100}, 1);
  const Scenario second = stress_scenario("jump", 3, {"across-cores", 100}, 2);
  EXPECT_NE(first, second);
  EXPECT_NE(first.threads[0].acts[0].jitter, second.threads[0].acts[0].jitter);
  const auto again = scenario_from_text(text_of(first));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, first);
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

// The racy baseline, run free: seen, counted, and with a file to run again.
TEST(StressCommand, SeesTheRacyBaselineBreak) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("proberace-stress-" + std::to_string(::getpid()));
  const Outcome o = run_proberace("stress --strategy poke+in-place --threads 2 --plan across-cores --toggle "
                                  "100 --runs 20 --budget 60s --out " +
                                      folder.string(),
                                  "2>/dev/null");
  if (o.status == 3)
    GTEST_SKIP() << o.out;
  EXPECT_EQ(o.status, 1) << o.out;
  const std::string again = "again: proberace replay ";
  const std::size_t at = o.out.find(again);
  ASSERT_NE(at, std::string::npos) << o.out;
  const std::string file = o.out.substr(at + again.size(), o.out.find('\n', at) - at - again.size());
  EXPECT_EQ(run_proberace("replay --times 20 " + file).status, 1) << file;
  std::filesystem::remove_all(folder);
}

} // namespace

} // namespace proberace
