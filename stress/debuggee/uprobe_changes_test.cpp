#include "stress/debuggee/uprobe_changes.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

bool is_changed(std::initializer_list<std::uint8_t> bytes) {
  const std::vector<std::uint8_t> code(bytes);
  const auto instruction = decode(Address{0x1000}, code);
  EXPECT_TRUE(instruction);
  return instruction && changed_by_uprobe(*instruction).has_value();
}

} // namespace

// The table of results/findings/uprobe-instructions.md.
TEST(UprobeChanges, AreThoseThatWereFound) {
  EXPECT_TRUE(is_changed({0xc5, 0xf9, 0x74, 0xc9}));             // vpcmpeqb
  EXPECT_TRUE(is_changed({0xc5, 0xf9, 0xeb, 0xc1}));             // vpor
  EXPECT_TRUE(is_changed({0xc5, 0xf1, 0x73, 0xd9, 0x02}));       // vpsrldq
  EXPECT_TRUE(is_changed({0xc5, 0xfc, 0x77}));                   // vzeroall
  EXPECT_TRUE(is_changed({0xc5, 0xf9, 0xe8, 0xc0}));             // vpsubsb
  EXPECT_TRUE(is_changed({0xc4, 0xe2, 0x79, 0x90, 0x0c, 0x11})); // vpgatherdd
  EXPECT_TRUE(is_changed({0x62, 0xf1, 0x7d, 0x08, 0x74, 0xc9})); // vpcmpeqb k1
  EXPECT_TRUE(is_changed({0xc5, 0xf8, 0xc2, 0xc0, 0x00}));       // vcmpps
  EXPECT_TRUE(is_changed({0xc4, 0xe2, 0x79, 0x9d, 0xc0}));       // vfnmadd132ss
  EXPECT_TRUE(is_changed({0xf3, 0xa4}));                         // rep movsb
  EXPECT_TRUE(is_changed({0x9c}));                               // pushfq
  EXPECT_TRUE(is_changed({0x0f, 0x05}));                         // syscall
  EXPECT_TRUE(is_changed({0xc5, 0xfa, 0x6f, 0x06}));             // vmovdqu: refused by the kernel
  EXPECT_TRUE(is_changed({0x40, 0x66, 0x0f, 0x6f, 0x05, 0x00, 0x00, 0x00, 0x00})); // rex before 66
}

TEST(UprobeChanges, AreNotInOtherInstructions) {
  EXPECT_FALSE(is_changed({0xf3, 0x0f, 0x1e, 0xfa}));                   // endbr64
  EXPECT_FALSE(is_changed({0x55}));                                     // push
  EXPECT_FALSE(is_changed({0x74, 0x02}));                               // je
  EXPECT_FALSE(is_changed({0xc3}));                                     // ret
  EXPECT_FALSE(is_changed({0x48, 0x89, 0xe5}));                         // mov
  EXPECT_FALSE(is_changed({0xa4}));                                     // movsb
  EXPECT_FALSE(is_changed({0x8f, 0xc0}));                               // pop
  EXPECT_FALSE(is_changed({0xc5, 0xf8, 0x28, 0xc1}));                   // vmovaps
  EXPECT_FALSE(is_changed({0x66, 0x48, 0x0f, 0x6e, 0xc0}));             // movq: rex where it belongs
  EXPECT_FALSE(is_changed({0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00})); // mov, RIP-relative
}

} // namespace proberace
