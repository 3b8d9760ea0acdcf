#include "stress/targets/mailbox.h"

// rdi entry, rsi input, rdx ticket, rcx mailbox. The callee-saved registers hold known words during the call.
asm(R"(
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
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
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
        call    *%rax
        cmpq    %rsp, %r14
        jne     1f
        cmpq    %rbx, %r12
        jne     1f
        cmpq    %rbp, %r13
        jne     1f
        cmpq    %rbx, %r15
        jne     1f
        cmpq    %r11, %r15
        jne     1f
        cmpq    %r10, %r13
        je      2f
1:      movq    $-1, %rax
2:      addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
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
)");
