// Inserting and removing while others run: H01, H02, H05, H06, H07, H10, H11, H16, H18. Each is a scenario
// shaped to make the hazard likely; the judge decides.
#include "stress/testing/expect_scenario.h"

namespace proberace {

namespace {

class WhileOthersRun : public testing::TestWithParam<std::string> {
protected:
  // Threads that execute the bodies until the others are done.
  Scenario workers(std::size_t count, std::vector<PlacedName> bodies,
                   const std::string& plan = "across-cores") const {
    return workers_on(GetParam(), probeable(GetParam(), std::move(bodies)), count, plan);
  }
  // A third of the long size.
  std::size_t rounds(std::size_t ours) const {
    if (removal_is_costly(GetParam()))
      return 3;
    return long_run() ? 3 * ours : ours;
  }

  void expect_held(const Scenario& s, std::uint64_t insertions) {
    const Verdict v = run_free(s).verdict;
    PROBERACE_EXPECT_SCENARIO_HELD(v, s);
    EXPECT_GE(v.data["inserted"], insertions);
    EXPECT_EQ(v.data["inserted"], v.data["removed"]);
    EXPECT_GT(v.data["must"], 0U) << "nothing was tested while armed";
    EXPECT_GT(v.data["must_not"], 0U) << "nothing was tested while clear";
    EXPECT_TRUE(v.data["first_refusal"].is_null()) << v.data["first_refusal"];
    expect_paths(GetParam(), v);
  }
};

} // namespace

// Bodies with long instructions under two cores' fetch, armed and disarmed again and again.
TEST_P(WhileOthersRun, H01_ABytePutUnderAnothersFetchIsNeverTorn) {
  Scenario s = workers(2, {{"lea-rip", 0}, {"nop5", 0}});
  const std::size_t n = rounds(50);
  s.threads.push_back(repeated(n, {insert({0, 1}), pause(60), remove({0, 1}), pause(200)}));
  expect_held(s, 2 * n);
}

// One site, one worker on another core, inserted and used at once: the ticket of each execution after insert
// returned is checked.
TEST_P(WhileOthersRun, H02_NoExecutionAfterInsertIsMissed) {
  Scenario s = workers(1, {{"mov", 0}});
  const std::size_t n = rounds(100);
  s.threads.push_back(repeated(n, {insert({0}), pause(20), remove({0}), pause(20)}));
  expect_held(s, n);
}

// Two controllers arm different sites of one page at once. Fails if a copy of the page is made from its
// content before the other's swap.
TEST_P(WhileOthersRun, H05_NeighboursOnAPageDoNotLoseEachOther) {
  Scenario s = workers(2, {{"nop", 0}, {"mov", 0}, {"push", 0}, {"add", 0}});
  const std::size_t n = rounds(20);
  s.threads.push_back(repeated(n, {insert({0, 1}), pause(80), remove({0}), pause(40), remove({1})}));
  s.threads.push_back(
      repeated(n, {insert({2}), pause(50), insert({3}), pause(50), remove({2, 3}), pause(20)}));
  expect_held(s, 4 * n);
}

// A worker runs unprobed code of the page (site 1 is never armed) while the page is swapped. Fails if the
// original is moved away without MREMAP_DONTUNMAP.
TEST_P(WhileOthersRun, H06_NobodyFaultsInTheGapOfAPageSwap) {
  Scenario s = workers(2, {{"nop", 0}, {"call", 0}});
  const std::size_t n = rounds(130);
  s.threads.push_back(repeated(n, {insert({0}), pause(5), remove({0}), pause(5)}));
  expect_held(s, n);
}

// Threads are born and end while sites are armed. A one-byte write harms no thread that was missed, so for
// stop-world this shows only that births and deaths do not upset the stopping; a thread list read once would
// pass here.
TEST_P(WhileOthersRun, H07_ThreadsBornMeanwhileAreNoException) {
  Scenario s = workers(2, {{"mov", 0}, {"jmp", 0}});
  const std::size_t n = rounds(25);
  s.threads.push_back(repeated(n, {insert({0, 1}), pause(50), remove({0, 1}), pause(50)}));
  s.threads.push_back(churning_thread(200, s.bodies.size()));
  expect_held(s, 2 * n);
}

// Removal soon after insertion, with more threads than cores: threads are preempted between trap and
// handler. Fails if a handler that finds no live site takes the trap for the program's own.
TEST_P(WhileOthersRun, H10_ATrapTakenBeforeRemovalIsExecutedAgain) {
  Scenario s = workers(6, {{"mov", 0}}, "oversubscribed");
  const std::size_t n = rounds(18);
  // Six executions may have begun before the insertion. In the longer window some begin and end.
  s.threads.push_back(repeated(
      n, {insert({0}), pause(7), remove({0}), pause(3), insert({0}), pause(300), remove({0}), pause(3)}));
  expect_held(s, 2 * n);
}

TEST_P(WhileOthersRun, H11_OfTwoInsertsOfOneSiteOneSucceeds) {
  Scenario s = workers(2, {{"mov", 0}, {"nop", 0}});
  const std::size_t n = rounds(20);
  // Where one operation takes as long as thousands of executions, some operation would nearly always be in flight.
  const std::size_t armed = removal_is_costly(GetParam()) ? 20'000 : 30;
  s.threads.push_back(repeated(n, {insert({0, 1}), pause(armed), remove({0, 1}), pause(10)}));
  s.threads.push_back(repeated(n, {insert({1, 0}), pause(armed / 2), remove({1, 0}), pause(10)}));
  expect_held(s, 2);
}

// Bytes, permissions, mappings, descriptors and SIGTRAP's action are compared by the experiment, before open
// and after close, with probes on two pages. Fails if close forgets one of them.
TEST_P(WhileOthersRun, H16_EverythingIsAsItWasAfterTheLastRemoval) {
  Scenario s = workers(2, {{"mov", 0}, {"nop", 0}, {"lea-rip", 1}});
  const std::size_t n = rounds(5);
  s.threads.push_back(
      repeated(n, {insert({0, 1, 2}), pause(100), remove({1}), pause(50), remove({2, 0}), pause(50)}));
  expect_held(s, 3 * n);
}

// The same site removed and inserted without a pause, so that traps meet every state of its record. Fails if
// insert writes the byte before the record is live, or remove marks it dead before the byte is gone.
TEST_P(WhileOthersRun, H18_ATrapAlwaysFindsItsSiteOrNoInt3) {
  Scenario s = workers(3, {{"mov", 0}});
  const std::size_t n = rounds(80);
  s.threads.push_back(repeated(n, {insert({0}), remove({0}), insert({0}), pause(2), remove({0})}));
  const Verdict v = run_free(s).verdict;
  PROBERACE_EXPECT_SCENARIO_HELD(v, s);
  EXPECT_EQ(v.data["inserted"], 2 * n);
  EXPECT_GT(v.data["hits"], 0U);
  expect_paths(GetParam(), v);
}

INSTANTIATE_TEST_SUITE_P(Strategies, WhileOthersRun,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts,
                                                                 Promise::InsertionWhileRunning,
                                                                 Promise::RemovalWhileRunning})),
                         test_name);

} // namespace proberace
