#include "harness/cell/patience.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

using std::chrono::milliseconds;

namespace {
constexpr milliseconds kDeadline{1000};
// Two processors for a second, with 100 ticks each.
milliseconds left(std::uint64_t used, std::uint64_t own, milliseconds passed = kDeadline) {
  return time_left(kDeadline, passed, {1000, 500, 10}, {1200, 500 + used, 10 + own});
}
} // namespace

TEST(Patience, EndsAtTheDeadlineWhereNobodyElseWorks) {
  EXPECT_EQ(left(0, 0), milliseconds(0));     // it sleeps
  EXPECT_EQ(left(200, 200), milliseconds(0)); // it works on all processors
  EXPECT_EQ(left(100, 100), milliseconds(0));
  EXPECT_EQ(left(0, 0, milliseconds(400)), milliseconds(600));
}

TEST(Patience, GrowsWithTheTimeThatOthersTake) {
  EXPECT_EQ(left(200, 0), milliseconds(1000)); // all of it
  EXPECT_EQ(left(100, 0), milliseconds(500));
  EXPECT_EQ(left(200, 50), milliseconds(750));
}

TEST(Patience, HasAnEnd) {
  EXPECT_EQ(time_left(kDeadline, milliseconds(4800), {}, {960, 960, 0}), milliseconds(200));
  EXPECT_LE(time_left(kDeadline, milliseconds(5000), {}, {1000, 1000, 0}), milliseconds(0));
}

TEST(Patience, ReadsWhatTheKernelCounts) {
  const ProcessorTime begin = ProcessorTime::now(::getpid());
  EXPECT_GT(begin.all, 0U);
  EXPECT_GT(begin.used, 0U);
  ProcessorTime now = begin;
  // The kernel counts the two in different ways: work until the difference is small beside the sum.
  constexpr std::uint64_t kTicks = 20;
  while (now.own < begin.own + kTicks)
    now = ProcessorTime::now(::getpid());
  EXPECT_GT(now.used, begin.used + kTicks / 2);
  EXPECT_GE(now.all - begin.all, now.used - begin.used);
}

} // namespace proberace
