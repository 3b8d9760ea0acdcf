// Hand-written code of this very program: data between instructions, jumps into an instruction, jump tables.
#include "harness/code/admission.h"

#include <gtest/gtest.h>

asm(R"(
        .text
        .macro  FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        .endm
        .macro  END name
        .size   \name, .-\name
        .endm

        # A table in code, with as many entries as the mask says.
        FUNCTION reached_table
        andl    $3, %edi
        leaq    1f(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rax
        addq    %rdx, %rax
        jmp     *%rax
        .p2align 2
        .globl  reached_table_data
        .hidden reached_table_data
reached_table_data:
1:      .long   2f-1b, 3f-1b, 4f-1b, 5f-1b
        .globl  reached_table_first
        .hidden reached_table_first
reached_table_first:
2:      movl    $11, %eax
        ret
3:      movl    $22, %eax
        ret
4:      movl    $33, %eax
        ret
        .globl  reached_table_last
        .hidden reached_table_last
reached_table_last:
5:      movl    $44, %eax
        ret
        END reached_table

        # One path runs the lock prefix, the other jumps behind it.
        FUNCTION reached_lock
        testl   %esi, %esi
        je      6f
        .globl  reached_lock_prefix
        .hidden reached_lock_prefix
reached_lock_prefix:
        .byte   0xf0
6:      xaddq   %rax, (%rdi)
        .globl  reached_lock_next
        .hidden reached_lock_next
reached_lock_next:
        ret
        END reached_lock

        # Behind the return are bytes that decode as instructions.
        FUNCTION reached_constant
        movl    7f(%rip), %eax
        ret
        .globl  reached_constant_data
        .hidden reached_constant_data
reached_constant_data:
7:      .long   0x90909090
        END reached_constant

        # The distances of this table are from an address in the code.
        FUNCTION reached_base
        cmpl    $2, %edi
        ja      8f
        movl    %edi, %edi
        leaq    reached_base_distances(%rip), %rcx
        leaq    8f(%rip), %rsi
        movslq  (%rcx,%rdi,4), %rax
        addq    %rsi, %rax
        jmp     *%rax
        ud2
        .globl  reached_base_case
        .hidden reached_base_case
reached_base_case:
9:      movl    $9, %eax
        ret
10:     movl    $10, %eax
        ret
8:      xorl    %eax, %eax
        ret
        END reached_base
        .section .rodata
        .p2align 2
reached_base_distances:
        .long   8b-8b, 9b-8b, 10b-8b
        .text
        .purgem FUNCTION
        .purgem END
)");

extern "C" {
extern const char reached_table[], reached_table_data[], reached_table_first[], reached_table_last[],
    reached_lock_prefix[], reached_lock_next[], reached_constant[], reached_constant_data[],
    reached_base_case[];
}

namespace proberace {

namespace {

// One: the first question decodes the whole program.
const Target& this_program() {
  static const Target instance;
  return instance;
}

std::expected<Instruction, Error> admitted(const Target& target, const void* at) {
  const AddressSpace space = target.address_space();
  const auto site = target.site_at(space, address_of(at));
  if (!site)
    return std::unexpected(site.error());
  return Admission(target).admit(space, *site);
}

ErrorKind refusal(const Target& target, const void* at) {
  const auto found = admitted(target, at);
  EXPECT_FALSE(found) << "admitted as " << disassemble(*found);
  return found ? ErrorKind{} : found.error().kind;
}

} // namespace

TEST(ReachedCode, H86_DataInAFunctionIsNoCode) {
  const Target& target = this_program();
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(refusal(target, reached_table_data + i), ErrorKind::NotABoundary) << i;
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(refusal(target, reached_constant_data + i), ErrorKind::NotABoundary) << i;
}

TEST(ReachedCode, FollowsATableInCodeToItsLastEntry) {
  const Target& target = this_program();
  EXPECT_TRUE(admitted(target, reached_table_first));
  EXPECT_TRUE(admitted(target, reached_table_last));
  EXPECT_TRUE(admitted(target, reached_table_last + 5)) << "its return";
}

TEST(ReachedCode, FollowsATableWhoseDistancesAreFromTheCode) {
  EXPECT_TRUE(admitted(this_program(), reached_base_case));
}

TEST(ReachedCode, H87_OfInstructionsThatOverlapOnlyTheOuterIsAdmitted) {
  const Target& target = this_program();
  const auto outer = admitted(target, reached_lock_prefix);
  ASSERT_TRUE(outer);
  EXPECT_TRUE(outer->locked);
  EXPECT_EQ(refusal(target, reached_lock_prefix + 1), ErrorKind::NotABoundary);
  EXPECT_TRUE(admitted(target, reached_lock_next));
}

TEST(ReachedCode, LinearlyWhatDecodesIsCode) {
  Target target;
  target.decode_linearly();
  EXPECT_TRUE(admitted(target, reached_constant_data));
}

} // namespace proberace
