#include "harness/relocate/relocate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace proberace {

namespace {

constexpr Address kHere{0x7f0000400000};

// The address a 7-byte `lea disp32(%rip),%rax` names.
std::uintptr_t named_by(Address at, std::span<const std::uint8_t> code) {
  std::int32_t displacement = 0;
  std::copy_n(code.data() + 3, 4, reinterpret_cast<std::uint8_t*>(&displacement));
  return value(at + 7 + displacement);
}

Instruction lea(std::int32_t displacement) {
  std::vector<std::uint8_t> code{0x48, 0x8d, 0x05, 0, 0, 0, 0};
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&displacement), 4, code.data() + 3);
  return *decode(kHere, code);
}

} // namespace

RC_GTEST_PROP(Relocate, NamesTheSameAddressOrRefuses, (std::int32_t displacement, std::int32_t distance)) {
  const Instruction original = lea(displacement);
  const Address there = kHere + distance;
  const auto moved = relocate(original, there);
  const std::int64_t needed = std::int64_t{displacement} - distance;
  RC_ASSERT(moved.has_value() == (needed >= INT32_MIN && needed <= INT32_MAX));
  if (moved) {
    RC_ASSERT(moved->length == original.length);
    RC_ASSERT(named_by(there, moved->code()) == named_by(kHere, original.code()));
  } else {
    RC_ASSERT(moved.error().kind == ErrorKind::NoRoom);
  }
}

TEST(Relocate, LeavesOtherInstructionsAsTheyAre) {
  const std::vector<std::uint8_t> jump{0x74, 0x10};
  const auto moved = relocate(*decode(kHere, jump), kHere + 0x1000);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->bytes[1], 0x10);
}

TEST(Relocate, RefusesEipRelativeByName) {
  const std::vector<std::uint8_t> code{0x67, 0x8b, 0x05, 0, 0, 0, 0}; // mov 0(%eip),%eax
  const auto moved = relocate(*decode(kHere, code), kHere + 0x1000);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().kind, ErrorKind::InstructionUnsupported);
  EXPECT_NE(moved.error().message.find("mov"), std::string::npos);
}

} // namespace proberace
