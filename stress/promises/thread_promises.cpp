// Promises about a thread's own registers with the kernel, one experiment each, named promise/<promise>: its
// thread pointer (H75), its restartable sequences (H68).
#include "stress/code/probed_code.h"

#include <asm/prctl.h>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- any-thread-pointer

// rdi the thread pointer to run with, rsi the program's own: kLaps hits between two arch_prctl(ARCH_SET_FS).
PROBERACE_SNIPPET(UnderFs, R"(
        movq    %rsi, %r8
        movq    %rdi, %rsi
        movl    $0x1002, %edi
        movl    $158, %eax
        syscall
        xorl    %r10d, %r10d
        movl    $50, %r9d
1:
        SITE
        {disp32} leaq 1(%r10), %r10
        decl    %r9d
        jnz     1b
        movq    %r8, %rsi
        movl    $0x1002, %edi
        movl    $158, %eax
        syscall
        movq    %r10, %rax
        ret
)");
constexpr std::uint64_t kLaps = 50;

Verdict any_thread_pointer(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kUnderFs});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  std::uintptr_t own = 0;
  ::syscall(SYS_arch_prctl, ARCH_GET_FS, &own);
  constexpr std::size_t kBytes = 256 * 1024;
  const Address zeroed =
      address_of(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const Address nothing = address_of(::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  struct Pointer {
    const char* what;
    Address at;
  };
  auto* const run = (*code)->function<std::uint64_t(std::uintptr_t, std::uintptr_t)>();
  std::uint64_t executions = 0;
  for (const Pointer& pointer :
       {Pointer{"zeroed memory", zeroed + kBytes / 2}, Pointer{"inaccessible memory", nothing + kBytes / 2},
        Pointer{"null", Address{}}}) {
    if (const std::uint64_t laps = run(value(pointer.at), own); laps != kLaps)
      return broken("wrong-result", fmt::format("fs at {}: {} laps of {}", pointer.what, laps, kLaps));
    executions += kLaps;
    if ((*code)->hits(0) != executions)
      return broken("wrong-count", fmt::format("fs at {}: {} executions, {} hits", pointer.what, executions,
                                               (*code)->hits(0)));
  }
  return held();
}

// ---- rseq-intact: sections that add one to a word of their CPU, from more threads than there are CPUs.

struct rseq* this_threads_rseq() {
  return reinterpret_cast<struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
}

// rdi the thread's struct rseq, rsi the section's descriptor, rdx words of 64 bytes, one for each CPU: adds one
// to that of the CPU it runs on. The probe lies between the load and the store, where only an abort after a
// migration or a preemption keeps the update of another thread. 1 if it committed, 0 if it was aborted; the abort
// handler stands behind the signature that libc registered (0x53053053, as ud1's displacement).
PROBERACE_SNIPPET(AddPerCpu, R"(
        movq    %rsi, 8(%rdi)
        movl    4(%rdi), %ecx
        shlq    $6, %rcx
        movq    (%rdx,%rcx), %rax
        SITE
        {disp32} leaq 1(%rax), %rax
        movq    %rax, (%rdx,%rcx)
        movq    $0, 8(%rdi)
        movl    $1, %eax
        ret
        .byte   0x0f, 0xb9, 0x3d
        .long   0x53053053
        movq    $0, 8(%rdi)
        xorl    %eax, %eax
        ret
)");
constexpr std::ptrdiff_t kAddStart = 4;
constexpr std::ptrdiff_t kAddBytes = 3 + 4 + 4 + 7 + 4;
constexpr std::ptrdiff_t kAddAbort = kAddStart + kAddBytes + 8 + 5 + 1 + 7;

class PerCpuSums {
public:
  static constexpr std::uint64_t kThreads = 4, kEach = 20'000;

  explicit PerCpuSums(const ProbedCode& code) : add_(code.function<Add>()) {
    const Address entry = code.entry();
    section_ = rseq_cs{0, 0, value(entry + kAddStart), static_cast<std::uint64_t>(kAddBytes),
                       value(entry + kAddAbort)};
  }

  // Empty if the sum is right.
  std::string run() {
    constexpr std::uint64_t kTries = 1000;
    words_.assign(words_.size(), Word{});
    std::atomic<bool> never = false;
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        struct rseq* const own = this_threads_rseq();
        for (std::uint64_t i = 0; i < kEach && !never; ++i) {
          std::uint64_t tries = 0;
          while (add_(own, &section_, words_.data()) == 0 && ++tries < kTries)
            continue;
          if (tries == kTries)
            never = true;
        }
      });
    threads.clear(); // joins
    std::uint64_t sum = 0;
    for (const Word& word : words_)
      sum += word.value;
    if (never)
      return fmt::format("a section was aborted {} times in a row", kTries);
    return sum == kThreads * kEach
               ? std::string()
               : fmt::format("{} threads added {} each to their CPUs' words, whose sum is {}", kThreads,
                             kEach, sum);
  }

private:
  struct alignas(64) Word {
    std::uint64_t value = 0;
  };
  using Add = std::uint64_t(struct rseq*, const rseq_cs*, Word*);

  Add* add_;
  rseq_cs section_{};
  std::vector<Word> words_ = std::vector<Word>(static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_CONF)));
};

Verdict rseq_intact(const Json& parameters, Arena&) {
  if (__rseq_size == 0)
    return verdict_of(Error{ErrorKind::MachineLacks, {}, "libc has registered no rseq"});
  auto code = ProbedCode::open(parameters.at("strategy"), {kAddPerCpu});
  if (!code)
    return verdict_of(code.error());
  PerCpuSums sums(**code);
  if (const std::string wrong = sums.run(); !wrong.empty())
    return broken("setup", wrong + ", unprobed");
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  if (const std::string wrong = sums.run(); !wrong.empty())
    return broken("lost-update", wrong);
  constexpr std::uint64_t kCommits = PerCpuSums::kThreads * PerCpuSums::kEach;
  if ((*code)->hits(0) < kCommits)
    return broken("wrong-count", fmt::format("{} commits, {} hits", kCommits, (*code)->hits(0)));
  return held();
}

const bool thread_promises_registered =
    register_experiment("promise/any-thread-pointer", &any_thread_pointer) &&
    register_experiment("promise/rseq-intact", &rseq_intact);

} // namespace

} // namespace proberace
