#include "stress/code/body.h"

// One row of the table is six words: begin, site, end, name, traits, passes. BODY opens a function, SITE marks the
// instruction to probe, END closes the function and writes its row.
asm(R"(
        .macro  BODY
        .pushsection .text.proberace_bodies, "ax", @progbits
        .p2align 5
1:
        .endm
        .macro  SITE
2:
        .endm
        .macro  END name, traits, passes=1
        ret
3:
        .popsection
        .pushsection .rodata.proberace_bodies, "a", @progbits
4:      .asciz  "\name"
        .popsection
        .pushsection .data.rel.ro.proberace_bodies, "aw", @progbits
        .quad   1b, 2b, 3b, 4b, \traits, \passes
        .popsection
        .endm

        .pushsection .data.rel.ro.proberace_bodies, "aw", @progbits
        .p2align 3
        .globl  proberace_bodies_begin
        .hidden proberace_bodies_begin
proberace_bodies_begin:
        .popsection

        BODY
        SITE
        nop
        leaq    1(%rdi), %rax
        END nop, 0

        BODY
        SITE
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        leaq    1(%rdi), %rax
        END nop5, 128

        BODY
        SITE
        pushq   %rbp
        leaq    1(%rdi), %rax
        popq    %rbp
        END push, 32

        BODY
        SITE
        movq    %rdi, %rax
        incq    %rax
        END mov, 0

        BODY
        pushq   %rdi
        SITE
        popq    %rax
        incq    %rax
        END pop, 32

        BODY
        SITE
        leaq    9f(%rip), %rax
        leaq    9f(%rip), %rcx
        subq    %rcx, %rax
        leaq    1(%rdi,%rax), %rax
9:
        END lea-rip, 129

        BODY
        SITE
        movq    9f(%rip), %rax
        addq    %rdi, %rax
        ret
        .p2align 3
9:      .quad   1
        END mov-rip, 129

        BODY
        movq    %rdi, %rax
        SITE
        addq    $1, %rax
        END add, 0

        BODY
        movq    %rdi, %rcx
        xorl    %eax, %eax              # sets ZF, which the comparison clears nearly always
        SITE
        cmpq    9f(%rip), %rcx
        setne   %al
        cmpq    9f(%rip), %rdi
        setne   %cl
        xorb    %cl, %al
        movzbl  %al, %eax
        leaq    1(%rdi,%rax), %rax
        ret
        .p2align 3
9:      .quad   0x1234
        END cmp-rip, 137

        BODY
        xorl    %eax, %eax
        cmpq    %rax, %rax
        SITE
        je      8f
        ud2
8:      leaq    1(%rdi), %rax
        END je-taken, 2

        BODY
        xorl    %eax, %eax
        cmpq    %rax, %rax
        SITE
        jne     8f
        leaq    1(%rdi), %rax
        ret
8:      ud2
        END jne-not-taken, 2

        BODY
        SITE
        jmp     8f
        ud2
8:      leaq    1(%rdi), %rax
        END jmp, 2

        BODY
        leaq    8f(%rip), %rcx
        SITE
        jmp     *%rcx
        ud2
8:      leaq    1(%rdi), %rax
        END jmp-reg, 2

        BODY
        SITE
        call    8f
        ret
8:      leaq    1(%rdi), %rax
        END call, 34

        BODY
        leaq    8f(%rip), %rcx
        SITE
        call    *%rcx
        ret
8:      leaq    1(%rdi), %rax
        END call-reg, 34

        BODY
        leaq    1(%rdi), %rax
        SITE
        END ret, 34

        BODY
        movl    $2, %ecx
        SITE
        loop    8f
        ud2
8:      leaq    (%rdi,%rcx), %rax
        END loop-taken, 2

        # A branch to itself: the site is the next instruction, too.
        BODY
        movl    $3, %ecx
        SITE
        loop    2b
        leaq    1(%rdi,%rcx), %rax
        END loop-itself, 2, 3

        BODY
        leaq    8f(%rip), %rcx
        pushq   %rcx
        leaq    2f(%rip), %rcx
        pushq   %rcx
        SITE
        ret
8:      leaq    1(%rdi), %rax
        END ret-itself, 34, 2

        BODY
        xorl    %ecx, %ecx
        SITE
        jrcxz   8f
        ud2
8:      leaq    1(%rdi), %rax
        END jrcxz, 2

        BODY
        movq    %rdi, %rdx
        movl    $5, %ecx
        leaq    -64(%rsp), %rdi
        xorl    %eax, %eax
        SITE
        rep stosb
        leaq    1(%rdx,%rcx), %rax
        END rep-stos, 576

        BODY
        movq    %rdi, -16(%rsp)
        SITE
        lock incq -16(%rsp)
        movq    -16(%rsp), %rax
        END lock-inc, 400

        BODY
        movq    80(%r10), %rcx          # the words that threads share (mailbox.h)
        movl    $1, %eax
        SITE
        lock xaddq %rax, (%rcx)
        incq    88(%r10)
        leaq    1(%rdi), %rax
        END xadd-shared, 144

        BODY
        movq    80(%r10), %rcx
        movq    (%rcx), %rax
        leaq    1(%rax), %rdx
        SITE
        lock cmpxchgq %rdx, (%rcx)
        sete    %al
        movzbl  %al, %eax
        addq    %rax, 88(%r10)
        leaq    1(%rdi), %rax
        END cmpxchg-shared, 144

        BODY
        movq    80(%r10), %rcx
        movq    96(%r10), %rax
        SITE
        xchgq   %rax, 64(%rcx)
        movq    %rax, 96(%r10)
        leaq    1(%rdi), %rax
        END xchg-shared, 16

        # A word that is neither all ones nor all zeros is torn.
        BODY
        movq    80(%r10), %rcx
        movl    %edi, %eax
        andl    $1, %eax
        negq    %rax
        SITE
        movq    %rax, 128(%rcx)
        movq    128(%rcx), %rax
        incq    %rax
        cmpq    $1, %rax
        ja      8f
        leaq    1(%rdi), %rax
8:
        END store-shared, 128

        BODY
        movq    80(%r10), %rcx
        movl    %edi, %eax
        andl    $1, %eax
        negq    %rax
        movq    %rax, 128(%rcx)
        SITE
        movq    128(%rcx), %rax
        incq    %rax
        cmpq    $1, %rax
        ja      8f
        leaq    1(%rdi), %rax
8:
        END load-shared, 128

        BODY
        movq    %rdi, %rax
        stc
        SITE
        nop
        adcq    $0, %rax
        END carry-across, 8

        # All 128 bytes of it.
        BODY
        movq    %rdi, %rdx
        movq    %rdi, %rax
        leaq    -128(%rsp), %rdi
        movl    $16, %ecx
        rep stosq
        SITE
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        leaq    -128(%rsp), %rdi
        movl    $16, %ecx
        repe scasq
        setne   %al
        movzbl  %al, %eax
        leaq    1(%rdx,%rax), %rax
        END red-zone, 4

        # CF, PF, AF, ZF, SF, DF and OF, as the input says.
        BODY
        imulq   $0x5bd1e995, %rdi, %rcx
        andl    $0xcd5, %ecx
        orl     $0x202, %ecx
        pushfq                          # the trap flag stays
        andl    $0x100, (%rsp)
        orl     %ecx, (%rsp)
        popfq
        SITE
        nop
        pushfq
        popq    %rdx
        cld
        xorq    %rcx, %rdx
        andl    $0xcd5, %edx
        leaq    1(%rdi,%rdx), %rax
        END flags-across, 8

        BODY
        SITE
        movq    (%rsi), %rax
        leaq    1(%rdi,%rax), %rax
        END load, 0

        BODY
        leaq    8f(%rip), %rcx
        pushq   %rcx
        SITE
        call    *(%rsp)
        popq    %rcx
        ret
8:      leaq    1(%rdi), %rax
        END call-stack, 34

        # No jump fits: with the bytes behind it, four zeros, it would lead to itself. They write to the mailbox.
        BODY
        leaq    72(%r10), %rax
        SITE
        nop
        .byte   0, 0, 0, 0
        leaq    1(%rdi), %rax
        END no-room, 64

        # Two that differ in nothing but bytes of the instruction behind the site, which a jump may need.
        BODY
        SITE
        movq    %rdi, %rax
        leaq    1(%rax), %rax
        END mov-lea-behind, 0

        BODY
        SITE
        movq    %rdi, %rax
        addq    $1, %rax
        END mov-add-behind, 0

        .pushsection .data.rel.ro.proberace_bodies, "aw", @progbits
        .globl  proberace_bodies_end
        .hidden proberace_bodies_end
proberace_bodies_end:
        .popsection
        .purgem BODY
        .purgem SITE
        .purgem END
)");

extern "C" {
[[gnu::visibility("hidden")]] extern const proberace::Body proberace_bodies_begin[];
[[gnu::visibility("hidden")]] extern const proberace::Body proberace_bodies_end[];
}

namespace proberace {

std::span<const Body> all_bodies() noexcept {
  return {proberace_bodies_begin, proberace_bodies_end};
}

const Body* body_named(std::string_view name) noexcept {
  for (const Body& body : all_bodies())
    if (body.name() == name)
      return &body;
  return nullptr;
}

} // namespace proberace
