// The judge itself: state words and tallies.
#include "harness/judge/tally.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <thread>
#include <vector>

namespace proberace {

TEST(SiteState, QuietOnlyWhenNothingIsInFlight) {
  SiteState s;
  EXPECT_TRUE(SiteState::quiet(s.read()));
  EXPECT_FALSE(SiteState::armed(s.read()));
  s.begin();
  s.begin();
  EXPECT_FALSE(SiteState::quiet(s.read()));
  s.end(true);
  EXPECT_FALSE(SiteState::quiet(s.read()));
  s.end(false);
  EXPECT_TRUE(SiteState::quiet(s.read()));
  EXPECT_TRUE(SiteState::armed(s.read()));
}

TEST(SiteState, TwoOperationsLeaveAnotherWordThanNone) {
  SiteState s;
  const std::uint64_t before = s.read();
  for (int i = 0; i < 2; ++i) {
    s.begin();
    s.end(true);
  }
  EXPECT_EQ(SiteState::armed(s.read()), SiteState::armed(before));
  EXPECT_NE(s.read(), before) << "an execution across both must not look undisturbed";
}

// However successes of an insert and a remove overlap, their number decides the state.
RC_GTEST_PROP(SiteState, ArmedAfterAnOddNumberOfSuccesses, (std::vector<bool> outcomes)) {
  SiteState s;
  bool armed = false;
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    s.begin();
  for (const bool succeeded : outcomes) {
    s.end(succeeded);
    armed = armed != succeeded;
  }
  RC_ASSERT(SiteState::quiet(s.read()));
  RC_ASSERT(SiteState::armed(s.read()) == armed);
}

TEST(SiteState, ConcurrentOperationsAreAllCounted) {
  SiteState s;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        s.begin();
        s.end(true);
      }
    });
  for (std::thread& t : threads)
    t.join();
  EXPECT_TRUE(SiteState::quiet(s.read()));
  EXPECT_FALSE(SiteState::armed(s.read()));
}

TEST(Judge, EveryFaultOfAnExecutionIsNamed) {
  SiteState s;
  const std::uint64_t clear = s.read();
  s.begin();
  const std::uint64_t inserting = s.read();
  s.end(true);
  const std::uint64_t armed = s.read();
  EXPECT_EQ(judge_execution(armed, armed, 1), Fault::None);
  EXPECT_EQ(judge_execution(armed, armed, 0), Fault::LostHit);
  EXPECT_EQ(judge_execution(armed, armed, 2), Fault::DoubleHit);
  EXPECT_EQ(judge_execution(clear, clear, 0), Fault::None);
  EXPECT_EQ(judge_execution(clear, clear, 1), Fault::SpuriousHit);
  EXPECT_EQ(judge_execution(inserting, inserting, 0), Fault::None) << "in flight: may";
  EXPECT_EQ(judge_execution(inserting, inserting, 1), Fault::None) << "in flight: may";
  EXPECT_EQ(judge_execution(clear, armed, 1), Fault::None) << "overlapped: may";
  EXPECT_EQ(judge_execution(clear, armed, 2), Fault::DoubleHit) << "never twice";
  EXPECT_EQ(judge_execution(armed, armed, 3, 3), Fault::None) << "a call that executes its site three times";
  EXPECT_EQ(judge_execution(armed, armed, 2, 3), Fault::LostHit);
  EXPECT_EQ(judge_execution(armed, armed, 4, 3), Fault::DoubleHit);
  EXPECT_EQ(judge_execution(clear, armed, 2, 3), Fault::None) << "armed meanwhile: may";
}

RC_GTEST_PROP(Tally, AdmitsExactlyFromMustToMustAndMay,
              (std::vector<std::uint8_t> kinds, std::uint16_t hits)) {
  SiteState s;
  const std::uint64_t clear = s.read();
  s.begin();
  s.end(true);
  const std::uint64_t armed = s.read();
  Tally t;
  std::uint64_t must = 0;
  std::uint64_t may = 0;
  for (const std::uint8_t kind : kinds) {
    ++t.started;
    switch (kind % 4) {
    case 0: t.finish(armed, armed), ++must; break;
    case 1: t.finish(clear, clear); break;
    case 2: t.finish(clear, armed), ++may; break;
    default: ++may; break; // never finished: longjmp, cancellation
    }
  }
  RC_ASSERT(t.must == must);
  RC_ASSERT(t.may() == may);
  RC_ASSERT(t.admits(hits) == (must <= hits && hits <= must + may));
}

} // namespace proberace
