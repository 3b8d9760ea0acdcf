// Hand-written code: short functions, tables and constants between instructions, jumps behind a prefix, a return
// address that is read. Each function is compared with what it means.
#include <cstdint>

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

        # Counts rdi down; the loop begins within the first five bytes.
        FUNCTION hw_count
        xorl    %eax, %eax
1:      incq    %rax
        decq    %rdi
        jnz     1b
        ret
        END hw_count

        # A table of distances in the code.
        FUNCTION hw_table
        andl    $3, %edi
        leaq    1f(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rax
        addq    %rdx, %rax
        jmp     *%rax
        .p2align 2
1:      .long   2f-1b, 3f-1b, 4f-1b, 5f-1b
2:      movl    $5, %eax
        ret
3:      movl    $12, %eax
        ret
4:      movl    $19, %eax
        ret
5:      movl    $26, %eax
        ret
        END hw_table

        # A constant between two instructions, which decodes as one.
        FUNCTION hw_constant
        addq    1f(%rip), %rdi
        jmp     2f
1:      .quad   0x3412b8
2:      movq    %rdi, %rax
        ret
        END hw_constant

        # Adds with the lock prefix, or jumps behind it.
        FUNCTION hw_lock
        movl    $7, %eax
        testl   %esi, %esi
        je      1f
        .byte   0xf0
1:      xaddq   %rax, (%rdi)
        ret
        END hw_lock

        # Where a call returns to, less where that is.
        FUNCTION hw_return_address
        call    1f
1:      popq    %rax
        leaq    1b(%rip), %rdx
        subq    %rdx, %rax
        addq    %rdi, %rax
        ret
        END hw_return_address

        # Its only copies of what it was given lie below the stack pointer.
        FUNCTION hw_red_zone
        movq    %rdi, -8(%rsp)
        notq    %rdi
        movq    %rdi, -128(%rsp)
        xorl    %edi, %edi
        movq    -8(%rsp), %rax
        subq    -128(%rsp), %rax
        ret
        END hw_red_zone

        # Functions without room between them, the last of one byte.
        FUNCTION hw_neighbour
        incq    %rdi
        jmp     hw_neighbour2
        END hw_neighbour
        FUNCTION hw_neighbour2
        leaq    6(%rdi), %rax
        jmp     hw_neighbour3
        END hw_neighbour2
        FUNCTION hw_neighbour3
        ret
        END hw_neighbour3

        # A return that pops its caller's arguments, and a frame of the oldest kind.
        FUNCTION hw_pops
        movq    8(%rsp), %rax
        leaq    3(%rax,%rdi), %rax
        ret     $16
        END hw_pops
        FUNCTION hw_frame
        enter   $32, $0
        movq    %rdi, -8(%rbp)
        pushq   $0
        pushq   %rdi
        call    hw_pops
        pushq   %rsp
        popq    %rdx
        subq    %rsp, %rdx
        addq    %rdx, %rax
        leave
        ret
        END hw_frame
        .purgem FUNCTION
        .purgem END
)");

extern "C" {
std::uint64_t hw_count(std::uint64_t);
std::uint64_t hw_table(std::uint64_t);
std::uint64_t hw_constant(std::uint64_t);
std::uint64_t hw_lock(std::uint64_t*, int);
std::uint64_t hw_return_address(std::uint64_t);
std::uint64_t hw_red_zone(std::uint64_t);
std::uint64_t hw_neighbour(std::uint64_t);
std::uint64_t hw_frame(std::uint64_t);
}

extern "C" int proberace_workload(std::uint64_t seed) {
  for (std::uint64_t x = seed; x < seed + 200; ++x) {
    const std::uint64_t count = x % 17 + 1;
    std::uint64_t sum = x;
    if (hw_count(count) != count)
      return 1;
    if (hw_table(x) != (x & 3) * 7 + 5)
      return 2;
    if (hw_constant(x) != x + 0x3412b8)
      return 3;
    if (hw_lock(&sum, static_cast<int>(x & 1)) != x || sum != x + 7)
      return 4;
    if (hw_return_address(x) != x)
      return 5;
    if (hw_red_zone(x) != x - ~x)
      return 6;
    if (hw_neighbour(x) != x + 7)
      return 7;
    if (hw_frame(x) != 2 * x + 3)
      return 8;
  }
  return 0;
}
