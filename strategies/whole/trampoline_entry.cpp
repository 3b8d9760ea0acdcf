// The slow way through a trampoline: a thread's first hit, and every hit while a hit handler is set. It saves
// the general registers, the flags and, by XSAVE, all other state that the handler may use (SDM vol. 1,
// 13.7). It leaves by one iretq, which sets PC, flags and stack pointer at once and needs no memory at the
// new stack pointer. So a handler may change any of them (H39), and no byte is written near a red zone (H33).
#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/schedule/point.h"
#include "harness/trap/guarded_memory.h"
#include "harness/trap/quiescence.h"
#include "harness/trap/saved_vectors.h"
#include "strategies/whole/trampoline.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>

// The frame is 18 words in Register's order. r12, which is saved in it, points to it while C code runs.
asm(R"(
        .text
        .p2align 5
        .globl  proberace_trampoline_slow
        .hidden proberace_trampoline_slow
        .type   proberace_trampoline_slow, @function
proberace_trampoline_slow:
        addb    $0x7f, %al
        sahf
        pushfq
        subq    $144, %rsp
        cld
        movq    %rdx, 16(%rsp)
        movq    %rbx, 24(%rsp)
        movq    %rbp, 40(%rsp)
        movq    %rsi, 48(%rsp)
        movq    %rdi, 56(%rsp)
        movq    %r8, 64(%rsp)
        movq    %r9, 72(%rsp)
        movq    %r10, 80(%rsp)
        movq    %r11, 88(%rsp)
        movq    %r12, 96(%rsp)
        movq    %r13, 104(%rsp)
        movq    %r14, 112(%rsp)
        movq    %r15, 120(%rsp)
        movq    144(%rsp), %rax
        movq    %rax, 136(%rsp)
        movq    152(%rsp), %rax
        movq    %rax, 8(%rsp)
        movq    160(%rsp), %rax
        movq    %rax, 0(%rsp)
        leaq    296(%rsp), %rax
        movq    %rax, 32(%rsp)
        movq    %rsp, %r12
        movq    %rcx, %r13
        pushq   $2
        popfq
        movl    proberace_xsave_bytes(%rip), %eax
        subq    %rax, %rsp
        andq    $-64, %rsp
        xorl    %eax, %eax
        leaq    512(%rsp), %rdi
        movl    $8, %ecx
        rep stosq
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 (%rsp)
        movq    %r12, %rdi
        movq    %r13, %rsi
        movq    %rsp, %rdx
        call    proberace_trampoline_hit
        .globl  proberace_trampoline_back
        .hidden proberace_trampoline_back
proberace_trampoline_back:
        movq    $0, -8(%rsp)            # no later search of this stack finds the call
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%rsp)
        movq    %r12, %rsp
        movl    %ss, %eax
        pushq   %rax
        pushq   32(%r12)
        pushq   136(%r12)
        movl    %cs, %eax
        pushq   %rax
        pushq   128(%r12)
        movq    0(%r12), %rax
        movq    8(%r12), %rcx
        movq    16(%r12), %rdx
        movq    24(%r12), %rbx
        movq    40(%r12), %rbp
        movq    48(%r12), %rsi
        movq    56(%r12), %rdi
        movq    64(%r12), %r8
        movq    72(%r12), %r9
        movq    80(%r12), %r10
        movq    88(%r12), %r11
        movq    104(%r12), %r13
        movq    112(%r12), %r14
        movq    120(%r12), %r15
        movq    96(%r12), %r12
        iretq
        .globl  proberace_trampoline_slow_end
        .hidden proberace_trampoline_slow_end
proberace_trampoline_slow_end:
        .size   proberace_trampoline_slow, .-proberace_trampoline_slow
)");

extern "C" {
[[gnu::visibility("hidden")]] extern const std::uint8_t proberace_trampoline_back[];
[[gnu::visibility("hidden")]] extern const std::uint8_t proberace_trampoline_slow_end[];
[[gnu::visibility("hidden")]] std::uint32_t proberace_xsave_bytes = 0;
[[gnu::visibility("hidden"), gnu::used]] void
proberace_trampoline_hit(std::uint64_t* registers, const proberace::JumpSite* site, void* saved) noexcept;
}

namespace proberace {

namespace {

// The registers as they were at the site. No step is ever taken here: the instruction runs by itself.
class TrampolineContext final : public TrapContext {
public:
  TrampolineContext(std::uint64_t* registers, void* saved, ThreadRecord& thread) noexcept
      : registers_(registers), saved_(saved), thread_(thread) {}

  std::uint64_t get(Register r) const noexcept override { return registers_[static_cast<std::size_t>(r)]; }
  void set(Register r, std::uint64_t word) noexcept override {
    registers_[static_cast<std::size_t>(r)] = word;
  }
  Vector vector(std::uint8_t number) const noexcept override { return saved_vector(saved_, number); }
  void set_vector(std::uint8_t number, const Vector& v) noexcept override { save_vector(saved_, number, v); }
  bool load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept override {
    if (!readable(from, to.size(), fault))
      return false;
    copy_whole(to.data(), bytes_at(from), to.size());
    return true;
  }
  bool store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept override {
    if (!writable(to, from.size(), fault))
      return false;
    copy_whole(bytes_at(to), from.data(), from.size());
    return true;
  }
  void* in_place(Address at, std::size_t bytes, HardwareFault& fault) noexcept override {
    return writable(at, bytes, fault) ? bytes_at(at) : nullptr;
  }
  std::uint64_t segment_base(Segment segment) const noexcept override {
    std::uint64_t base = 0;
    raw_syscall(SYS_arch_prctl, segment == Segment::Fs ? ARCH_GET_FS : ARCH_GET_GS, &base);
    return base;
  }
  // The signal is delivered when signals are let in again, on the way back: the displaced instruction raises
  // its own faults.
  void raise(const HardwareFault& fault) noexcept override { queue_fault(fault); }
  bool write_code_byte(Address at, std::uint8_t byte) noexcept override {
    return write_code(at, {&byte, 1}) == 0;
  }
  void start_single_step() noexcept override {}
  void stop_single_step() noexcept override {}
  void move_x87_pointer(Address, Address) noexcept override {}
  void took(Path path) noexcept override { count_one(thread_.paths[static_cast<std::size_t>(path)]); }

private:
  std::uint64_t* registers_;
  void* saved_;
  ThreadRecord& thread_;
};

} // namespace

bool runs_slow_path(Address pc) noexcept {
  return address_of(reinterpret_cast<const void*>(&proberace_trampoline_slow)) <= pc &&
         pc < address_of(proberace_trampoline_slow_end);
}

Address slow_path_return() noexcept {
  return address_of(proberace_trampoline_back);
}

Status prepare_slow_path() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kOsUsesXsave = 1U << 27; // CPUID.1:ECX.OSXSAVE
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsUsesXsave) == 0 ||
      __get_cpuid_count(0xD, 0, &a, &b, &c, &d) == 0)
    return machine_lacks("this processor, or its kernel, has no XSAVE");
  proberace_xsave_bytes = b; // for the features that are enabled
  return {};
}

} // namespace proberace

// signal-safe. On return the frame's PC is where the thread continues. `saved` is the area that XSAVE wrote.
void proberace_trampoline_hit(std::uint64_t* registers, const proberace::JumpSite* site,
                              void* saved) noexcept {
  using namespace proberace;
  constexpr auto kPc = static_cast<std::size_t>(Register::Rip);
  registers[kPc] = value(site->displaced);
  schedule::point("jump.hit", site->site.address);
  JumpSession* const session = jump_session();
  if (session == nullptr)
    return;
  // No thread jumps out of a passage, and other signals are held back from a hit handler (prober.h). A probe
  // inside a hit handler may trap, so SIGTRAP is let in for it; without a hit handler it stays as it was.
  std::uint64_t mask = kAllSignals & ~signal_bit(SIGTRAP);
  const int how = session->handler != nullptr ? SIG_SETMASK : SIG_BLOCK;
  raw_syscall(SYS_rt_sigprocmask, how, &mask, &mask, sizeof mask);
  {
    ThreadRecord& thread = session->threads.mine();
    const Passage passage(thread);
    schedule::point("jump.inside", site->site.address);
    // Pairs with the controller's store.
    if (site->live.load(std::memory_order_acquire)) {
      schedule::point("jump.found", site->site.address);
      count_one(thread.hits[site->index]);
      if (session->handler != nullptr && !passage.nested()) {
        registers[kPc] = value(site->site.address);
        TrampolineContext context(registers, saved, thread);
        Hit hit{site->site, context};
        session->handler(hit, session->handler_argument);
        if (context.pc() == site->site.address)
          registers[kPc] = value(site->displaced);
        else
          context.took(Path::Redirected);
      }
    }
  }
  raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
}
