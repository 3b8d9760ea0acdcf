#include "stress/transparency/sequence/sequence_run.h"

#include "harness/code/registers.h"
#include "harness/probe/trap_context.h"

#include <csignal>
#include <cstddef>
#include <fmt/ranges.h>
#include <random>
#include <ucontext.h>

namespace proberace {

namespace {

constexpr std::uint64_t kCompared =
    kStatusFlags & ~std::uint64_t{1U << 4}; // without AF, left undefined by some

static_assert(offsetof(SequenceState, registers) == 0 && offsetof(SequenceState, flags) == 128 &&
              offsetof(SequenceState, vectors) == 136);

} // namespace

// void(SequenceState*, const void* code). The 256 bytes below the code's stack are cleared first.
extern "C" void proberace_run_sequence(SequenceState* state, const void* code);
asm(R"(
        .pushsection .text, "ax", @progbits
        .p2align 4
        .type   proberace_run_sequence, @function
proberace_run_sequence:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushfq
        pushq   %rdi
        pushq   %rsi
        subq    $256, %rsp
        movq    %rsp, %rdi
        xorl    %eax, %eax
        movl    $32, %ecx
        rep stosq
        addq    $256, %rsp
        movq    8(%rsp), %rdi
        movups  136(%rdi), %xmm0
        movups  152(%rdi), %xmm1
        movups  168(%rdi), %xmm2
        movups  184(%rdi), %xmm3
        pushq   128(%rdi)
        popfq
        movq    0(%rdi), %rax
        movq    8(%rdi), %rcx
        movq    16(%rdi), %rdx
        movq    24(%rdi), %rbx
        movq    40(%rdi), %rbp
        movq    48(%rdi), %rsi
        movq    64(%rdi), %r8
        movq    72(%rdi), %r9
        movq    80(%rdi), %r10
        movq    88(%rdi), %r11
        movq    96(%rdi), %r12
        movq    104(%rdi), %r13
        movq    112(%rdi), %r14
        movq    120(%rdi), %r15
        movq    56(%rdi), %rdi
        call    *(%rsp)
        pushfq
        pushq   %rax
        movq    24(%rsp), %rax
        movq    %rcx, 8(%rax)
        movq    %rdx, 16(%rax)
        movq    %rbx, 24(%rax)
        movq    %rbp, 40(%rax)
        movq    %rsi, 48(%rax)
        movq    %rdi, 56(%rax)
        movq    %r8, 64(%rax)
        movq    %r9, 72(%rax)
        movq    %r10, 80(%rax)
        movq    %r11, 88(%rax)
        movq    %r12, 96(%rax)
        movq    %r13, 104(%rax)
        movq    %r14, 112(%rax)
        movq    %r15, 120(%rax)
        movups  %xmm0, 136(%rax)
        movups  %xmm1, 152(%rax)
        movups  %xmm2, 168(%rax)
        movups  %xmm3, 184(%rax)
        popq    %rcx
        movq    %rcx, 0(%rax)
        popq    %rcx
        movq    %rcx, 128(%rax)
        addq    $16, %rsp
        popfq
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        .size   proberace_run_sequence, . - proberace_run_sequence
        .popsection
)");

namespace {

// The counts of the SIGTRAP handler.
struct Counter {
  Address entry{};
  std::vector<std::uint64_t> arrivals; // by offset
  std::vector<bool> repeats;
  std::ptrdiff_t last = -1;
};
Counter* counting = nullptr;

void on_step(int, siginfo_t*, void* context) {
  const auto pc = Address{
      static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP])};
  const std::ptrdiff_t offset = pc - counting->entry;
  if (offset < 0 || static_cast<std::size_t>(offset) >= counting->arrivals.size())
    return;
  const auto i = static_cast<std::size_t>(offset);
  if (!(counting->repeats[i] && counting->last == offset)) // a string instruction stops at each iteration
    ++counting->arrivals[i];
  counting->last = offset;
}

} // namespace

std::string differences(const SequenceState& bare, const SequenceState& probed) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < bare.registers.size(); ++i)
    if (bare.registers[i] != probed.registers[i])
      all.push_back(fmt::format("{} {:#x} bare, {:#x} probed", name(static_cast<Register>(i)),
                                bare.registers[i], probed.registers[i]));
  if (bare.flags != probed.flags)
    all.push_back(fmt::format("flags {:#x} bare, {:#x} probed", bare.flags, probed.flags));
  for (std::size_t i = 0; i < bare.vectors.size(); ++i)
    if (bare.vectors[i] != probed.vectors[i])
      all.push_back(fmt::format("xmm{} differs", i));
  return fmt::format("{}", fmt::join(all, "; "));
}

SequenceState random_state(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  SequenceState s;
  for (std::size_t i = 0; i < s.registers.size(); ++i)
    s.registers[i] = i == 4 ? 0 : random() >> random() % 64;
  s.flags = random() & kStatusFlags;
  for (auto& v : s.vectors)
    v = {random(), random()};
  return s;
}

SequenceState run_sequence(Address entry, const SequenceState& from) {
  SequenceState s = from;
  proberace_run_sequence(&s, bytes_at(entry));
  s.flags &= kCompared;
  return s;
}

CountedRun count_sequence(Address entry, const SequenceCode& code, const SequenceState& from) {
  Counter counter;
  counter.entry = entry;
  counter.arrivals.resize(code.bytes.size());
  counter.repeats.resize(code.bytes.size());
  for (const SequenceCode::Placed& p : code.instructions)
    counter.repeats[static_cast<std::size_t>(p.offset)] = p.repeats;
  counting = &counter;
  struct sigaction stepping {};
  struct sigaction before {};
  stepping.sa_sigaction = &on_step;
  stepping.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &stepping, &before);
  CountedRun counted;
  SequenceState start = from;
  start.flags |= kTrapFlag;
  counted.end = run_sequence(entry, start);
  ::sigaction(SIGTRAP, &before, nullptr);
  counting = nullptr;
  for (const SequenceCode::Placed& p : code.instructions)
    counted.executions.push_back(counter.arrivals[static_cast<std::size_t>(p.offset)]);
  return counted;
}

} // namespace proberace
