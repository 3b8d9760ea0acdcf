#include "harness/trap/departure.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace proberace {

// H12. Memory goes away on this word: what cannot be found out is not "everybody has left".
TEST(Departure, ThreadsThatCannotBeListedHaveNotLeft) {
  const ThreadRecords records;
  const OurCode nothing_is_ours{[](Address) { return false; }};
  constexpr std::chrono::milliseconds kPatience{50};
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Status without = wait_for_departure(records, nothing_is_ours, kPatience);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().kind, ErrorKind::NotQuiescent);
  EXPECT_NE(without.error().message.find("cannot be listed"), std::string::npos) << without.error().message;
  EXPECT_TRUE(wait_for_departure(records, nothing_is_ours));
}

} // namespace proberace
