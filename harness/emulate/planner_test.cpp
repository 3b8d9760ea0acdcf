// An instruction that cannot be emulated is refused by name, never guessed: H44 to H47, H49, H51, H53, H54,
// H58.
#include "harness/emulate/habits.h"
#include "harness/emulate/micro_plan.h"
#include "harness/emulate/semantics.h"
#include "harness/emulate/test_abilities.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

struct Refused {
  std::vector<std::uint8_t> bytes;
  std::string_view named; // part of the message
};

void expect_refused(const Refused& refused, const Abilities& abilities) {
  const auto instruction = decode(Address{0x400000}, refused.bytes);
  ASSERT_TRUE(instruction) << refused.named;
  const auto plan = plan_emulation(*instruction, abilities);
  ASSERT_FALSE(plan) << refused.named << " was accepted";
  EXPECT_EQ(plan.error().kind, ErrorKind::InstructionUnsupported);
  EXPECT_EQ(plan.error().address, Address{0x400000});
  EXPECT_NE(plan.error().message.find(refused.named), std::string::npos) << plan.error().message;
}

} // namespace

TEST(EmulationPlan, H51_WhatIsNotCoveredIsRefusedByName) {
  for (const Refused& r : std::initializer_list<Refused>{
           {{0x0f, 0x58, 0xc1}, "addps"},
           {{0xc5, 0xf8, 0x28, 0xc1}, "vmovaps"},
           {{0x0f, 0x6f, 0xc1}, "movq"},             // of mm registers
           {{0x66, 0x0f, 0x6c, 0x07}, "punpcklqdq"}, // from memory
           {{0xa5}, "movsd"},                        // the string instruction
           {{0x0f, 0xa2}, "cpuid"},
           {{0x0f, 0x31}, "rdtsc"},
           {{0x0f, 0x0b}, "ud2"},
           {{0xf4}, "hlt"},
           {{0xf3, 0xaa}, "stosb"},
           {{0x0f, 0x05}, "syscall"},
           {{0x9c}, "pushf"},
           {{0x9d}, "popf"},
           {{0x8e, 0xd0}, "mov"},                         // mov %eax,%ss
           {{0x0f, 0xa0}, "push"},                        // push %fs
           {{0xf0, 0x48, 0x0f, 0xc7, 0x0f}, "cmpxchg16b"} // aligned, or #GP
       })
    expect_refused(r, kInProcess);
}

TEST(EmulationPlan, H53_ABitOffsetBeyondItsOperandIsRefused) {
  expect_refused({{0x48, 0x0f, 0xa3, 0x07}, "bt: with a bit offset"}, kInProcess); // bt %rax,(%rdi)
}

// Prefixes that would make it another instruction for some processors.
TEST(EmulationPlan, H54_H58_DoubtfulPrefixesAreRefused) {
  expect_refused({{0xf3, 0x41, 0x90}, "pause: with further prefixes"}, kInProcess);
  expect_refused({{0x66, 0xe9, 0, 0, 0, 0}, "jmp: with a 16-bit operand size"}, kInProcess);
  expect_refused({{0x66, 0xc3}, "ret: with a 16-bit operand size"}, kInProcess);
  expect_refused({{0xf2, 0xf0, 0x48, 0x01, 0x07}, "add: with a lock elision prefix"}, kInProcess); // xacquire
  expect_refused({{0x0f, 0x0d, 0xc8}, "nop: reserved"}, kInProcess);
  expect_refused({{0x66, 0x63, 0x00}, "movsxd: to 16 bits"}, kInProcess);
}

TEST(EmulationPlan, H54_LockOnARegisterIsNoInstruction) {
  const std::vector<std::uint8_t> bytes{0xf0, 0x48, 0x01, 0xc0};
  EXPECT_FALSE(decode(Address{0x400000}, bytes));
}

// The form of a rotation that holds its count, where such leave another OF: of registers, by more than one.
TEST(EmulationPlan, H53_RotationsByACountAreOfTheirOwnForm) {
  const auto thunk = [](std::initializer_list<std::uint8_t> bytes) {
    const std::vector<std::uint8_t> code(bytes);
    const auto instruction = decode(Address{0x400000}, code);
    const auto plan =
        instruction ? plan_emulation(*instruction, kInProcess) : std::unexpected(instruction.error());
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    return plan ? (*plan)->thunk : nullptr;
  };
  for (const int digit : {0, 1}) {
    const std::string plain = digit == 0 ? "rol" : "ror";
    const std::string counted = kHabits.counted_rotation_keeps_overflow ? plain + "_by" : plain;
    const auto modrm = static_cast<std::uint8_t>(0xc0 | digit << 3);
    EXPECT_EQ(thunk({0xc0, modrm, 3}), thunk_of(counted, 1, false));
    EXPECT_EQ(thunk({0x66, 0xc1, modrm, 3}), thunk_of(counted, 2, false));
    EXPECT_EQ(thunk({0xc1, modrm, 3}), thunk_of(counted, 4, false));
    EXPECT_EQ(thunk({0x48, 0xc1, modrm, 33}), thunk_of(counted, 8, false));
    EXPECT_EQ(thunk({0xc1, modrm, 33}), thunk_of(plain, 4, false)); // masked, one
    EXPECT_EQ(thunk({0xd1, modrm}), thunk_of(plain, 4, false));
    EXPECT_EQ(thunk({0xd3, modrm}), thunk_of(plain, 4, false)); // by cl
    EXPECT_EQ(thunk({0xc1, static_cast<std::uint8_t>(digit << 3 | 7), 3}),
              thunk_of(plain, 4, false)); // (%rdi)
  }
}

TEST(EmulationPlan, H49_AtomicFormsAreRefusedWhereTheyCannotBeAtomic) {
  for (const Refused& r :
       std::initializer_list<Refused>{{{0xf0, 0x48, 0x01, 0x07}, "add: is atomic"},
                                      {{0xf0, 0xff, 0x07}, "inc: is atomic"},
                                      {{0xf0, 0x48, 0x0f, 0xb1, 0x17}, "cmpxchg: is atomic"},
                                      {{0x48, 0x87, 0x07}, "xchg: is atomic"}}) {
    expect_refused(r, kSupervisor);
    EXPECT_TRUE(plan_emulation(*decode(Address{0x400000}, r.bytes), kInProcess)) << r.named;
  }
  const std::vector<std::uint8_t> plain{0x48, 0x01, 0x07};
  EXPECT_TRUE(plan_emulation(*decode(Address{0x400000}, plain), kSupervisor));
}

// A missing lock prefix is all but invisible here: against a thread that increments the same word without
// pause, none of 200,000 plain increments was lost. So the thunks are read.
TEST(EmulationThunks, H49_EveryLockedThunkHoldsOneLockedInstruction) {
  constexpr std::size_t kMostBytes = 64; // of one thunk
  int read = 0;
  for (const ComputeRow& row : compute_rows())
    for (const std::size_t bytes : {1U, 2U, 4U, 8U}) {
      const Thunk thunk = thunk_of(row.mnemonic, bytes, true);
      if (thunk == nullptr)
        continue;
      ++read;
      int atomic = 0;
      Address at{reinterpret_cast<std::uintptr_t>(thunk)};
      const Address end = at + kMostBytes;
      for (auto i = decode(at, {bytes_at(at), kMaxInstructionBytes});
           i && i->flow != Flow::Return && at < end; i = decode(at, {bytes_at(at), kMaxInstructionBytes})) {
        if (mnemonic_name(*i) == row.mnemonic && (i->locked || row.mnemonic == "xchg"))
          ++atomic;
        at = i->next();
      }
      EXPECT_EQ(atomic, 1) << row.mnemonic << " of " << bytes << " bytes";
    }
  EXPECT_EQ(read, 65);
}

} // namespace proberace
