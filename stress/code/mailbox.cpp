#include "stress/code/mailbox.h"

#include <cstddef>

// proberace_call_body: rdi entry, rsi input, rdx ticket, rcx mailbox. Every register that no body changes
// holds a known word during the call: rbx, rbp and r12 to r15, r8 and r9 (the ticket, plus what hit handlers
// say they added), r10, r11, rsi, and the vector registers (the ticket in each word: all of ymm where there
// is AVX2). The rounding modes of MXCSR and of the x87 are not what they were, so that a handler's own would
// show.
//
// On the stack: 0 MXCSR and 4 control word during the call, 8 and 12 the caller's, 16 and 20 those found
// after it; at 32 the ticket, four times.
asm(R"(
        .macro  COMPARE_KEPT a, b
        cmpq    \a, \b
        jne     1f
        .endm

        .text
        .p2align 5
        .globl  proberace_call_body
        .type   proberace_call_body, @function
proberace_call_body:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        subq    $72, %rsp
        .cfi_adjust_cfa_offset 72

        stmxcsr 8(%rsp)
        fnstcw  12(%rsp)
        movl    $0x3f80, (%rsp)
        movw    $0x0f7f, 4(%rsp)
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        movq    %rdx, 32(%rsp)
        movq    %rdx, 40(%rsp)
        movq    %rdx, 48(%rsp)
        movq    %rdx, 56(%rsp)
        cmpq    $0, 64(%rcx)
        jne     2f
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  32(%rsp), %xmm\n
        .endr
        jmp     3f
2:      .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu 32(%rsp), %ymm\n
        .endr
3:
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %r11
        movq    %rcx, %r10
        movq    %rdx, %rbx
        movq    %rcx, %rbp
        movq    %rdx, %r12
        movq    %rcx, %r13
        movq    %rsp, %r14
        movq    %rdx, %r15
        movq    %rdx, %r8
        movq    %rdx, %r9
        movq    56(%rcx), %rsi
        call    *%rax

        COMPARE_KEPT %rsp, %r14
        COMPARE_KEPT %rbx, %r12
        COMPARE_KEPT %rbp, %r13
        COMPARE_KEPT %rbx, %r15
        COMPARE_KEPT %r11, %r15
        COMPARE_KEPT %r10, %r13
        COMPARE_KEPT %rsi, 56(%r13)
        subq    40(%r13), %r8
        COMPARE_KEPT %r8, %r15
        subq    48(%r13), %r9
        COMPARE_KEPT %r9, %r15
        stmxcsr 16(%rsp)
        fnstcw  20(%rsp)
        movl    (%rsp), %ecx
        cmpl    16(%rsp), %ecx
        jne     1f
        movzwl  4(%rsp), %ecx
        cmpw    20(%rsp), %cx
        jne     1f
        cmpq    $0, 64(%r13)
        jne     4f
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        pxor    32(%rsp), %xmm\n
        .endr
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        por     %xmm\n, %xmm0
        .endr
        movq    %xmm0, %rcx
        psrldq  $8, %xmm0
        movq    %xmm0, %rdx
        orq     %rdx, %rcx
        jne     1f
        jmp     5f
4:      .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vpxor   32(%rsp), %ymm\n, %ymm\n
        .endr
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vpor    %ymm\n, %ymm0, %ymm0
        .endr
        vptest  %ymm0, %ymm0
        je      5f
1:      movq    $-1, %rax
        movq    %r14, %rsp
5:      cmpq    $0, 64(%r13)
        je      6f
        vzeroupper
6:      ldmxcsr 8(%rsp)
        fldcw   12(%rsp)
        addq    $72, %rsp
        .cfi_adjust_cfa_offset -72
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   proberace_call_body, .-proberace_call_body
        .purgem COMPARE_KEPT

        .p2align 5
        .globl  proberace_call_body_lightly
        .type   proberace_call_body_lightly, @function
proberace_call_body_lightly:
        .cfi_startproc
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %r11
        movq    %rcx, %r10
        movq    56(%rcx), %rsi
        jmp     *%rax
        .cfi_endproc
        .size   proberace_call_body_lightly, .-proberace_call_body_lightly

        .p2align 4
        .globl  proberace_skip_body
        .type   proberace_skip_body, @function
proberace_skip_body:
        .cfi_startproc
        cld
        incq    %r9
        leaq    1(%r11), %rax
        ret
        .cfi_endproc
        .size   proberace_skip_body, .-proberace_skip_body
)");

namespace proberace {

static_assert(offsetof(Mailbox, changed) == 40 && offsetof(Mailbox, skipped) == 48 &&
              offsetof(Mailbox, load_from) == 56 && offsetof(Mailbox, wide) == 64 &&
              offsetof(Mailbox, scratch) == 72 && offsetof(Mailbox, shared) == 80 &&
              offsetof(Mailbox, added) == 88 && offsetof(Mailbox, held) == 96 &&
              offsetof(SharedWords, swapped) == 64 && offsetof(SharedWords, whole) == 128);

} // namespace proberace
