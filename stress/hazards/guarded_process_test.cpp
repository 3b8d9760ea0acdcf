// H62: what guards a process against exactly what a prober does to it, and the program may have switched on:
// seccomp filters and user shadow stacks.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <asm/prctl.h>
#include <cstddef>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::uint64_t kExecutions = 200;

// Kills the process at any system call of this thread but a return from a signal handler and its own end.
bool forbid_system_calls() {
  const auto allow = [](std::uint32_t number) {
    return std::array{sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  };
  std::vector<sock_filter> filter{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(seccomp_data, nr)))};
  for (const std::uint32_t number : {SYS_rt_sigreturn, SYS_exit})
    for (const sock_filter& f : allow(number))
      filter.push_back(f);
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

Verdict under_seccomp(const Json& parameters, Arena&) {
  auto code = ProbedCode::armed(parameters, {kIncrement});
  if (!code)
    return verdict_of(code.error());
  std::string trouble;
  std::jthread([&] {
    (void)(*code)->function<Increment>()(0); // what a thread needs for its first hit
    if (!forbid_system_calls()) {
      trouble = "no filter could be installed";
      return;
    }
    for (std::uint64_t i = 1; i < kExecutions; ++i)
      if ((*code)->function<Increment>()(i) != i + 1)
        trouble = "the result was wrong";
    ::syscall(SYS_exit, 0); // what else ends a thread calls more than the filter knows
  }).join();
  if (!trouble.empty())
    return broken("transparent", trouble);
  const std::uint64_t hits = (*code)->hits(0);
  return hits == kExecutions
             ? held()
             : broken("wrong-count", fmt::format("{} executions, {} hits", kExecutions, hits));
}

// ---- user shadow stacks (Documentation/arch/x86/shstk.rst)

PROBERACE_SNIPPET(CallAndReturn, R"(
        subq    $8, %rsp
        SITE
        call    1f
        addq    $8, %rsp
        ret
1:      leaq    1(%rdi), %rax
        SITE
        ret
)");

constexpr long kEnable = 0x5001, kDisable = 0x5002, kShadowStack = 1; // ARCH_SHSTK_*

// No call and return of C's may lie between the two: the shadow stack starts empty.
[[gnu::always_inline]] inline long shadow_stack(long what) {
  long result = SYS_arch_prctl;
  asm volatile("syscall" : "+a"(result) : "D"(what), "S"(kShadowStack) : "rcx", "r11", "memory");
  return result;
}

Verdict under_a_shadow_stack(const Json& parameters, Arena&) {
  auto code = ProbedCode::armed(parameters, {kCallAndReturn});
  if (!code)
    return verdict_of(code.error());
  auto* const run = (*code)->function<Increment>();
  std::uint64_t wrong = 0;
  if (shadow_stack(kEnable) != 0)
    return verdict_of(
        Error{ErrorKind::MachineLacks, {}, "this kernel or processor has no user shadow stacks"});
  for (std::uint64_t i = 0; i < kExecutions; ++i)
    wrong += run(i) != i + 1;
  (void)shadow_stack(kDisable);
  if (wrong != 0)
    return broken("transparent", fmt::format("{} results were wrong", wrong));
  return (*code)->hits(0) == kExecutions && (*code)->hits(1) == kExecutions
             ? held()
             : broken("wrong-count", "hits were lost");
}

const bool guarded_process_test_registered =
    register_experiment("test/under-seccomp", &under_seccomp) &&
    register_experiment("test/under-a-shadow-stack", &under_a_shadow_stack);

class Guarded : public testing::TestWithParam<std::string> {};
class GuardedCalls : public testing::TestWithParam<std::string> {};

} // namespace

// Fails with a system call on the hit path that a program's filter does not know.
TEST_P(Guarded, H62_AHitNeedsNoSystemCallButTheReturnFromItsSignal) {
  PROBERACE_EXPECT_TEST_HELD("under-seccomp", GetParam());
}

// Fails where a call or return is made up without the shadow stack.
TEST_P(GuardedCalls, H62_CallsAndReturnsUnderAShadowStack) {
  PROBERACE_EXPECT_TEST_HELD("under-a-shadow-stack", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Strategies, Guarded, testing::ValuesIn(strategies_promising({Promise::ExactCounts})),
                         test_name);

INSTANTIATE_TEST_SUITE_P(Strategies, GuardedCalls,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts, Promise::StackOperands,
                                                                 Promise::AllControlFlow})),
                         test_name);

} // namespace proberace
