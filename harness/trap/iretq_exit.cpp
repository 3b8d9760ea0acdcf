#include "harness/trap/iretq_exit.h"

#include <cstddef>

namespace proberace {

namespace {
// The assembly below relies on the layout of the kernel's frame (arch/x86/include/uapi/asm/sigcontext.h).
constexpr std::size_t register_at(int index) {
  return offsetof(ucontext_t, uc_mcontext.gregs) + static_cast<std::size_t>(index) * sizeof(greg_t);
}
static_assert(register_at(REG_R8) == 40 && register_at(REG_RDI) == 104 && register_at(REG_RCX) == 152);
static_assert(register_at(REG_RSP) == 160 && register_at(REG_RIP) == 168 && register_at(REG_EFL) == 176);
static_assert(register_at(REG_CSGSFS) == 184 && offsetof(ucontext_t, uc_mcontext.fpregs) == 224);
} // namespace

// The five words that IRETQ pops are put where RIP, EFLAGS, CSGSFS, ERR and TRAPNO lie. RIP stays in its
// place, so that a later look at this stack (departure.h) still recognises the frame. A signal that arrives
// while rsp points there writes below the red zone, which reaches down to where r8 lies.
//
// The call's return address is wiped: no later search of this stack finds the call.
asm(R"(
        .text
        .p2align 4
        .globl  proberace_on_sigtrap_iretq
        .hidden proberace_on_sigtrap_iretq
        .type   proberace_on_sigtrap_iretq, @function
proberace_on_sigtrap_iretq:
        pushq   %rdx                            # the context
        call    proberace_handle_for_iretq
        .globl  proberace_iretq_handler_back
        .hidden proberace_iretq_handler_back
proberace_iretq_handler_back:
        movq    $0, -8(%rsp)
        popq    %rdi
        testb   %al, %al
        jnz     0f
        ret                                     # to sigreturn
0:      movq    224(%rdi), %rsi                 # the state XSAVE wrote; null if none
        testq   %rsi, %rsi
        jz      2f
        cmpl    $0x46505853, 464(%rsi)          # FP_XSTATE_MAGIC1
        jne     1f
        movl    472(%rsi), %eax                 # which components the frame holds
        movl    476(%rsi), %edx
        xrstor64 (%rsi)
        jmp     2f
1:      fxrstor64 (%rsi)
2:      movq    176(%rdi), %rax                 # RFLAGS
        movzwl  184(%rdi), %ecx                 # CS
        movzwl  190(%rdi), %edx                 # SS
        movq    160(%rdi), %rsi                 # RSP
        movq    %rcx, 176(%rdi)
        movq    %rax, 184(%rdi)
        movq    %rsi, 192(%rdi)
        movq    %rdx, 200(%rdi)
        testl   $0x4000, %eax                   # NT: IRETQ faults while it is set, but may set it
        jz      3f
        pushfq
        andq    $~0x4000, (%rsp)
        popfq
3:      movq    40(%rdi), %r8
        movq    48(%rdi), %r9
        movq    56(%rdi), %r10
        movq    64(%rdi), %r11
        movq    72(%rdi), %r12
        movq    80(%rdi), %r13
        movq    88(%rdi), %r14
        movq    96(%rdi), %r15
        movq    112(%rdi), %rsi
        movq    120(%rdi), %rbp
        movq    128(%rdi), %rbx
        movq    136(%rdi), %rdx
        movq    144(%rdi), %rax
        movq    152(%rdi), %rcx
        leaq    168(%rdi), %rsp
        movq    104(%rdi), %rdi
        iretq
        .globl  proberace_iretq_handler_end
        .hidden proberace_iretq_handler_end
proberace_iretq_handler_end:
        .size   proberace_on_sigtrap_iretq, .-proberace_on_sigtrap_iretq
)");

extern "C" {
[[gnu::visibility("hidden")]] extern const std::uint8_t proberace_iretq_handler_back[];
[[gnu::visibility("hidden")]] extern const std::uint8_t proberace_iretq_handler_end[];
}

bool runs_iretq_handler(Address pc) noexcept {
  return address_of(reinterpret_cast<const void*>(&proberace_on_sigtrap_iretq)) <= pc &&
         pc < address_of(proberace_iretq_handler_end);
}

Address iretq_handler_return() noexcept {
  return address_of(proberace_iretq_handler_back);
}

} // namespace proberace
