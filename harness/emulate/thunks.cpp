#include "harness/emulate/thunks.h"

#include <span>

// THUNK writes one function and its row of the table: mnemonic, operand size in bytes, locked, address. Flags
// are loaded last and read first, mov between them changes none. Written in assembly as functions of their
// own: pushfq below a compiled function's stack pointer would write its red zone.
asm(R"asm(
        .macro  THUNK name, bytes, locked, code
        .pushsection .text.proberace_thunks, "ax", @progbits
        .p2align 4
1:      movq    (%rdi), %rax
        movq    8(%rdi), %rdx
        movq    16(%rdi), %rcx
        pushq   24(%rdi)
        popfq
        \code
        pushfq
        popq    24(%rdi)
        movq    %rax, (%rdi)
        movq    %rdx, 8(%rdi)
        movq    %rcx, 16(%rdi)
        ret
        .popsection
        .pushsection .rodata.proberace_thunks, "a", @progbits
2:      .asciz  "\name"
        .popsection
        .pushsection .data.rel.ro.proberace_thunks, "aw", @progbits
        .quad   2b, \bytes, \locked, 1b
        .popsection
        .endm

        .pushsection .data.rel.ro.proberace_thunks, "aw", @progbits
        .p2align 3
        .globl  proberace_thunks_begin
        .hidden proberace_thunks_begin
proberace_thunks_begin:
        .popsection

        .macro  BINARY_WIDE op
        THUNK   \op, 2, 0, "\op\()w %dx, %ax"
        THUNK   \op, 4, 0, "\op\()l %edx, %eax"
        THUNK   \op, 8, 0, "\op\()q %rdx, %rax"
        .endm
        .macro  BINARY op
        THUNK   \op, 1, 0, "\op\()b %dl, %al"
        BINARY_WIDE \op
        .endm
        .macro  UNARY op
        THUNK   \op, 1, 0, "\op\()b %al"
        THUNK   \op, 2, 0, "\op\()w %ax"
        THUNK   \op, 4, 0, "\op\()l %eax"
        THUNK   \op, 8, 0, "\op\()q %rax"
        .endm
        .macro  SHIFT op
        THUNK   \op, 1, 0, "\op\()b %cl, %al"
        THUNK   \op, 2, 0, "\op\()w %cl, %ax"
        THUNK   \op, 4, 0, "\op\()l %cl, %eax"
        THUNK   \op, 8, 0, "\op\()q %cl, %rax"
        .endm
        # Where OF is left as it was (habits.h), which by cl it is not: the last step holds its count. Its CF is that
        # of the whole rotation.
        .macro  ROTATE_BY op, back
        THUNK   \op\()_by, 1, 0, "pushfq; \op\()b %cl, %al; \back\()b $2, %al; popfq; \op\()b $2, %al"
        THUNK   \op\()_by, 2, 0, "pushfq; \op\()w %cl, %ax; \back\()w $2, %ax; popfq; \op\()w $2, %ax"
        THUNK   \op\()_by, 4, 0, "pushfq; \op\()l %cl, %eax; \back\()l $2, %eax; popfq; \op\()l $2, %eax"
        THUNK   \op\()_by, 8, 0, "pushfq; \op\()q %cl, %rax; \back\()q $2, %rax; popfq; \op\()q $2, %rax"
        .endm
        .macro  DOUBLE_SHIFT op
        THUNK   \op, 2, 0, "\op\()w %cl, %dx, %ax"
        THUNK   \op, 4, 0, "\op\()l %cl, %edx, %eax"
        THUNK   \op, 8, 0, "\op\()q %cl, %rdx, %rax"
        .endm
        # rdx:rax with rcx
        .macro  WIDE op
        THUNK   \op, 1, 0, "\op\()b %cl"
        THUNK   \op, 2, 0, "\op\()w %cx"
        THUNK   \op, 4, 0, "\op\()l %ecx"
        THUNK   \op, 8, 0, "\op\()q %rcx"
        .endm
        .macro  LOCKED_BINARY_WIDE op
        THUNK   \op, 2, 1, "lock \op\()w %dx, (%rcx)"
        THUNK   \op, 4, 1, "lock \op\()l %edx, (%rcx)"
        THUNK   \op, 8, 1, "lock \op\()q %rdx, (%rcx)"
        .endm
        .macro  LOCKED_BINARY op
        THUNK   \op, 1, 1, "lock \op\()b %dl, (%rcx)"
        LOCKED_BINARY_WIDE \op
        .endm
        .macro  LOCKED_UNARY op
        THUNK   \op, 1, 1, "lock \op\()b (%rcx)"
        THUNK   \op, 2, 1, "lock \op\()w (%rcx)"
        THUNK   \op, 4, 1, "lock \op\()l (%rcx)"
        THUNK   \op, 8, 1, "lock \op\()q (%rcx)"
        .endm

        .irp    op, add, adc, sub, sbb, and, or, xor
        BINARY  \op
        LOCKED_BINARY \op
        .endr
        .irp    op, cmp, test
        BINARY  \op
        .endr
        .irp    op, inc, dec, neg, not
        UNARY   \op
        LOCKED_UNARY \op
        .endr
        .irp    op, shl, shr, sar, rol, ror, rcl, rcr
        SHIFT   \op
        .endr
        ROTATE_BY rol, ror
        ROTATE_BY ror, rol
        DOUBLE_SHIFT shld
        DOUBLE_SHIFT shrd
        BINARY_WIDE imul
        THUNK   imul3, 2, 0, "imulw %cx, %dx; movw %dx, %ax"
        THUNK   imul3, 4, 0, "imull %ecx, %edx; movl %edx, %eax"
        THUNK   imul3, 8, 0, "imulq %rcx, %rdx; movq %rdx, %rax"
        WIDE    mul
        THUNK   imul1, 1, 0, "imulb %cl"
        THUNK   imul1, 2, 0, "imulw %cx"
        THUNK   imul1, 4, 0, "imull %ecx"
        THUNK   imul1, 8, 0, "imulq %rcx"
        WIDE    div
        WIDE    idiv
        BINARY  xchg
        LOCKED_BINARY xchg
        BINARY  xadd
        LOCKED_BINARY xadd
        THUNK   cmpxchg, 1, 0, "cmpxchgb %dl, %cl"
        THUNK   cmpxchg, 2, 0, "cmpxchgw %dx, %cx"
        THUNK   cmpxchg, 4, 0, "cmpxchgl %edx, %ecx"
        THUNK   cmpxchg, 8, 0, "cmpxchgq %rdx, %rcx"
        LOCKED_BINARY cmpxchg
        .irp    op, bt, bts, btr, btc, bsf, bsr, tzcnt, lzcnt, popcnt
        BINARY_WIDE \op
        .endr
        .irp    op, bts, btr, btc
        LOCKED_BINARY_WIDE \op
        .endr
        THUNK   bswap, 4, 0, "bswapl %eax"
        THUNK   bswap, 8, 0, "bswapq %rax"
        THUNK   cbw, 2, 0, "cbtw"
        THUNK   cwde, 4, 0, "cwtl"
        THUNK   cdqe, 8, 0, "cltq"
        THUNK   cwd, 2, 0, "cwtd"
        THUNK   cdq, 4, 0, "cltd"
        THUNK   cqo, 8, 0, "cqto"
        THUNK   lahf, 2, 0, "lahf"
        THUNK   sahf, 2, 0, "sahf"
        THUNK   stc, 0, 0, "stc"
        THUNK   clc, 0, 0, "clc"
        THUNK   cmc, 0, 0, "cmc"
        THUNK   mfence, 0, 0, "mfence"
        THUNK   lfence, 0, 0, "lfence"
        THUNK   sfence, 0, 0, "sfence"

        .pushsection .data.rel.ro.proberace_thunks, "aw", @progbits
        .globl  proberace_thunks_end
        .hidden proberace_thunks_end
proberace_thunks_end:
        .popsection
)asm");

namespace {

struct ThunkRow {
  const char* mnemonic;
  std::uint64_t bytes;
  std::uint64_t locked;
  proberace::Thunk thunk;
};

} // namespace

extern "C" {
[[gnu::visibility("hidden")]] extern const ThunkRow proberace_thunks_begin[];
[[gnu::visibility("hidden")]] extern const ThunkRow proberace_thunks_end[];
}

namespace proberace {

Thunk thunk_of(std::string_view mnemonic, std::size_t bytes, bool locked) noexcept {
  for (const ThunkRow& row : std::span<const ThunkRow>(proberace_thunks_begin, proberace_thunks_end))
    if (row.bytes == bytes && (row.locked != 0) == locked && row.mnemonic == mnemonic)
      return row.thunk;
  return nullptr;
}

} // namespace proberace
