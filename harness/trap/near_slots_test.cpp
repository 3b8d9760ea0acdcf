#include "harness/trap/near_slots.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace proberace {

// A plan outlives a batch whose slots could not be written: its slot must not be taken for written later.
TEST(NearSlots, WhatCouldNotBeWrittenIsWrittenByALaterFlush) {
  constexpr std::uint8_t kCode[] = {0x90, 0xc3};
  NearSlots slots;
  const auto slot = slots.reserve(address_of(&kCode), sizeof kCode);
  ASSERT_TRUE(slot);
  ASSERT_TRUE(slots.write(*slot, kCode));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max}; // /proc/self/mem cannot be opened
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool flushed = slots.flush().has_value();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(flushed);
  EXPECT_TRUE(slots.flush());
  EXPECT_TRUE(std::equal(std::begin(kCode), std::end(kCode), bytes_at(*slot)));
}

} // namespace proberace
