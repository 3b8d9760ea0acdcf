#include "harness/code/decode.h"
#include "harness/code/operand.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

Instruction decoded(std::initializer_list<std::uint8_t> bytes) {
  const std::vector<std::uint8_t> code(bytes);
  const auto i = decode(Address{0x400000}, code);
  EXPECT_TRUE(i) << (i ? "" : describe(i.error()));
  return i.value_or(Instruction{});
}

} // namespace

TEST(Decode, LengthFlowAndRipRelative) {
  EXPECT_EQ(decoded({0x90}).length, 1);
  const Instruction lea = decoded({0x48, 0x8d, 0x05, 0x10, 0x00, 0x00, 0x00}); // lea 0x10(%rip),%rax
  EXPECT_EQ(lea.length, 7);
  EXPECT_TRUE(lea.rip_relative);
  EXPECT_EQ(lea.displacement_offset, 3);
  EXPECT_EQ(decoded({0xeb, 0xfe}).flow, Flow::RelativeJump);
  EXPECT_EQ(decoded({0x74, 0x02}).flow, Flow::RelativeJump);
  EXPECT_EQ(decoded({0xe2, 0x02}).flow, Flow::RelativeJump); // loop
  EXPECT_EQ(decoded({0xe3, 0x02}).flow, Flow::RelativeJump); // jrcxz
  EXPECT_EQ(decoded({0xff, 0xe1}).flow, Flow::AbsoluteJump); // jmp *%rcx
  EXPECT_EQ(decoded({0xe8, 0, 0, 0, 0}).flow, Flow::RelativeCall);
  EXPECT_EQ(decoded({0xff, 0xd1}).flow, Flow::AbsoluteCall); // call *%rcx
  EXPECT_EQ(decoded({0xc3}).flow, Flow::Return);
  const Instruction call_through = decoded({0xff, 0x15, 1, 0, 0, 0}); // call *1(%rip)
  EXPECT_EQ(call_through.flow, Flow::AbsoluteCall);
  EXPECT_TRUE(call_through.rip_relative);
}

TEST(Decode, EveryStepHazardIsKnown) {
  EXPECT_EQ(decoded({0x9c}).hazard, StepHazard::TouchesTrapFlag);                            // pushf
  EXPECT_EQ(decoded({0x9d}).hazard, StepHazard::TouchesTrapFlag);                            // popf
  EXPECT_EQ(decoded({0x8e, 0xd0}).hazard, StepHazard::PostponesTrap);                        // mov %eax,%ss
  EXPECT_EQ(decoded({0x0f, 0x05}).hazard, StepHazard::EntersKernel);                         // syscall
  EXPECT_EQ(decoded({0xcd, 0x80}).hazard, StepHazard::EntersKernel);                         // int 0x80
  EXPECT_EQ(decoded({0xcc}).hazard, StepHazard::RaisesTrap);                                 // int3
  EXPECT_EQ(decoded({0xf4}).hazard, StepHazard::Privileged);                                 // hlt
  EXPECT_EQ(decoded({0xec}).hazard, StepHazard::Privileged);                                 // in
  EXPECT_EQ(decoded({0xc7, 0xf8, 0, 0, 0, 0}).hazard, StepHazard::Transactional);            // xbegin
  EXPECT_EQ(decoded({0xcb}).hazard, StepHazard::FarTransfer);                                // lret
  EXPECT_EQ(decoded({0xf3, 0x48, 0x0f, 0xae, 0xd0}).hazard, StepHazard::ChangesSegmentBase); // wrfsbase
  EXPECT_EQ(decoded({0x48, 0x89, 0xf8}).hazard, StepHazard::None);                           // mov
  EXPECT_TRUE(decoded({0xf3, 0xaa}).repeats);                                                // rep stosb
  EXPECT_FALSE(decoded({0xf3, 0x0f, 0x1e, 0xfa}).repeats);                                   // endbr64
  EXPECT_TRUE(decoded({0xf0, 0xff, 0x07}).locked);                                           // lock incl
}

// addr32 add %r12b, 0x1(,%r15d,2), with REX.B: no base, as the processor has it.
TEST(Decode, H54_ABaseThatIsNoneStaysNone) {
  const Operands operands = operands_of(decoded({0x67, 0x4f, 0x00, 0x24, 0x7d, 1, 0, 0, 0}));
  ASSERT_EQ(operands.count, 2);
  EXPECT_FALSE(operands.list[0].base);
  EXPECT_EQ(operands.list[0].index, Register::R15);
  EXPECT_EQ(operands.list[0].displacement, 1);
  const Operands based = operands_of(decoded({0x67, 0x4f, 0x00, 0x64, 0x7d, 1})); // 0x1(%r13d,%r15d,2)
  EXPECT_EQ(based.list[0].base, Register::R13);
}

TEST(Decode, WhatIsNoInstructionIsNoBoundary) {
  const std::vector<std::uint8_t> bad{0x06}; // push %es, not in 64-bit mode
  const auto i = decode(Address{0x400000}, bad);
  ASSERT_FALSE(i);
  EXPECT_EQ(i.error().kind, ErrorKind::NotABoundary);
}

TEST(Decode, BoundariesFollowTheInstructions) {
  const std::vector<std::uint8_t> code{0x48, 0x89, 0xf8, 0x90, 0xe8, 0, 0, 0, 0, 0xc3};
  std::vector<std::size_t> starts;
  const std::vector<bool> at = instruction_boundaries(code);
  for (std::size_t i = 0; i < at.size(); ++i)
    if (at[i])
      starts.push_back(i);
  EXPECT_EQ(starts, (std::vector<std::size_t>{0, 3, 4, 9}));
}

} // namespace proberace
