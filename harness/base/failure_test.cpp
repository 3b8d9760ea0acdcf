#include "harness/base/failure.h"

#include <gtest/gtest.h>

namespace proberace {
namespace {

TEST(Failure, HoldsKindAddressAndSentence) {
  const Status failed = failure(ErrorKind::NoRoom, Address{0x1234}, "{} of {} slots are left", 0, 16);
  ASSERT_FALSE(failed);
  EXPECT_EQ(describe(failed.error()), "0x1234: no-room: 0 of 16 slots are left");
}

TEST(Failure, WithoutAnAddressNamesNone) {
  const Status failed = failure(ErrorKind::Unsupported, "braces {{}} are written twice");
  EXPECT_EQ(describe(failed.error()), "unsupported: braces {} are written twice");
}

TEST(Failure, BadInputAndLackingMachinesAreKindsOfTheirOwn) {
  const std::expected<int, Error> input = bad_input("'{}' is no number", "x");
  EXPECT_EQ(describe(input.error()), "bad-input: 'x' is no number");
  const std::expected<int, Error> machine = machine_lacks("AVX-512");
  EXPECT_EQ(describe(machine.error()), "machine-lacks: AVX-512");
}

} // namespace
} // namespace proberace
