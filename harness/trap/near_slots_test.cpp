#include "harness/trap/near_slots.h"

#include "harness/relocate/exit.h"

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

// Of the longest there are, made longer by prefixes; too far away for a relative jump.
TEST(NearSlots, H60_ASlotHoldsTheLongestCodeAndItsNeighboursStayWhole) {
  constexpr Address kHere{0x7f00'0000'0000};
  const std::vector<std::vector<std::uint8_t>> longest{
      {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x67, 0xe1, 0x10}, // loope ecx
      {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x0f, 0x84, 1, 2, 3, 0},       // je
      {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xff, 0x94, 0xc8, 1, 2, 3, 0},       // call [rax+8*rcx+...]
      {0x26, 0x26, 0x26, 0x26, 0x66, 0x81, 0x84, 0xc8, 1, 2, 3, 4, 5, 6},             // add word [...], ...
      {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xe8, 1, 2, 3, 0}, // call, 15 bytes
  };
  NearSlots slots;
  std::vector<std::pair<Address, ExitCode>> written;
  for (const auto& bytes : longest) {
    const auto instruction = decode(kHere, bytes);
    ASSERT_TRUE(instruction);
    const auto slot = slots.reserve(address_of(&kHere), kMaxSlotBytes);
    ASSERT_TRUE(slot);
    const auto code = relocate_with_exit(*instruction, *slot);
    ASSERT_TRUE(code) << describe(code.error());
    EXPECT_GT(code->length, bytes.size());
    EXPECT_LE(code->length, kMaxSlotBytes);
    ASSERT_TRUE(slots.write(*slot, code->code()));
    written.emplace_back(*slot, *code);
  }
  ASSERT_TRUE(slots.flush());
  for (const auto& [slot, code] : written) {
    EXPECT_TRUE(std::ranges::equal(code.code(), std::span(bytes_at(slot), code.length)));
    // Bytes that were not written are traps.
    EXPECT_TRUE(std::all_of(bytes_at(slot) + code.length, bytes_at(slot) + kMaxSlotBytes,
                            [](std::uint8_t byte) { return byte == kInt3; }));
  }
}

} // namespace proberace
