// Promises about stacks and the program's own use of SIGTRAP (H30, H71, H75), one experiment each, named
// promise/<promise>.
#include "harness/base/signal_action.h"
#include "stress/code/probed_code.h"

#include <fmt/format.h>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::uint64_t kRounds = 20;

bool run_times(const ProbedCode& code) {
  auto* const run = code.function<Increment>();
  bool right = true;
  for (std::uint64_t i = 0; i < kRounds; ++i)
    right = run(i) == i + 1 && right;
  return right;
}

Verdict with_increment(const Json& parameters, Verdict (*check)(ProbedCode& code)) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  return check(**code);
}

Verdict exact(const ProbedCode& code, std::uint64_t wanted) {
  const std::uint64_t hits = code.hits(0);
  return hits == wanted ? held() : broken("wrong-count", fmt::format("{} executions, {} hits", wanted, hits));
}

// ---- altstack-kept

ProbedCode* on_altstack = nullptr;
volatile bool right_on_altstack = false;

void run_on_altstack(int, siginfo_t*, void*) {
  right_on_altstack = run_times(*on_altstack);
}

constexpr int kAutoDisarm = static_cast<int>(1U << 31); // SS_AUTODISARM, linux/signal.h

Verdict altstack_kept(const Json& parameters, Arena&) {
  return with_increment(parameters, [](ProbedCode& code) {
    static std::uint8_t stack[64 * 1024];
    on_altstack = &code;
    on_signal(SIGUSR1, &run_on_altstack, SA_ONSTACK);
    for (const int flags : {0, kAutoDisarm}) {
      const stack_t wanted{stack, flags, sizeof stack};
      ::sigaltstack(&wanted, nullptr);
      const auto kept = [&] {
        stack_t now{};
        ::sigaltstack(nullptr, &now);
        return now.ss_sp == wanted.ss_sp && now.ss_size == wanted.ss_size && now.ss_flags == wanted.ss_flags;
      };
      const char* const kind = flags == 0 ? "" : ", SS_AUTODISARM";
      if (!kept())
        return broken("setup", "sigaltstack does not say what it was told");
      if (!run_times(code))
        return broken("wrong-result", "wrong result with an alternate stack");
      if (!kept())
        return broken("altstack", fmt::format("the alternate stack is not what it was after a hit{}", kind));
      right_on_altstack = false;
      ::raise(SIGUSR1);
      if (!right_on_altstack)
        return broken("wrong-result", fmt::format("wrong result on the alternate stack{}", kind));
      if (!kept())
        return broken("altstack", fmt::format("... after a hit on it{}", kind));
    }
    return exact(code, 4 * kRounds);
  });
}

// ---- small-stacks

// rdi input, rsi the stack pointer to run on.
PROBERACE_SNIPPET(OnSmallStack, R"(
        movq    %rsp, %rdx
        movq    %rsi, %rsp
        SITE
        {disp32} leaq 0(%rdi), %rax
        SITE
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        movq    %rdx, %rsp
        incq    %rax
        ret
)");

Verdict small_stacks(const Json& parameters, Arena&) {
  constexpr std::size_t kRedZone = 128; // all that the ABI lets code use below rsp
  auto code = ProbedCode::open(parameters.at("strategy"), {kOnSmallStack});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  auto* const pages = static_cast<std::uint8_t*>(
      ::mmap(nullptr, 2 * kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ::mprotect(pages + kPageBytes, kPageBytes, PROT_READ | PROT_WRITE);
  auto* const run = (*code)->function<std::uint64_t(std::uint64_t, const std::uint8_t*)>();
  for (const std::size_t room : {std::size_t{2048}, kRedZone})
    for (std::uint64_t i = 0; i < kRounds; ++i)
      if (run(i, pages + kPageBytes + room) != i + 1)
        return broken("wrong-result", fmt::format("wrong result with {} bytes of stack", room));
  return (*code)->hits(1) == 2 * kRounds ? exact(**code, 2 * kRounds)
                                         : broken("wrong-count", "the second site's count is wrong");
}

// ---- sigtrap-may-be-blocked: and the mask and the action are what they were (H71).

Verdict sigtrap_may_be_blocked(const Json& parameters, Arena&) {
  return with_increment(parameters, [](ProbedCode& code) {
    const SignalAction action = current_signal_action(SIGTRAP);
    sigset_t trap;
    sigset_t now;
    ::sigemptyset(&trap);
    ::sigaddset(&trap, SIGTRAP);
    ::pthread_sigmask(SIG_BLOCK, &trap, nullptr);
    const bool right = run_times(code);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    if (!right)
      return broken("wrong-result", "wrong result while SIGTRAP was blocked");
    if (::sigismember(&now, SIGTRAP) != 1)
      return broken("mask", "SIGTRAP was blocked and is not any more");
    if (current_signal_action(SIGTRAP) != action)
      return broken("action", "SIGTRAP's action was reset");
    ::pthread_sigmask(SIG_UNBLOCK, &trap, nullptr);
    return exact(code, kRounds);
  });
}

// ---- sigtrap-may-be-taken

volatile std::uint64_t strangers = 0;

void count_stranger(int, siginfo_t*, void*) {
  strangers = strangers + 1;
}

Verdict sigtrap_may_be_taken(const Json& parameters, Arena&) {
  return with_increment(parameters, [](ProbedCode& code) {
    on_signal(SIGTRAP, &count_stranger);
    if (!run_times(code))
      return broken("wrong-result", "wrong result after the program took SIGTRAP");
    if (strangers != 0)
      return broken("delivered", fmt::format("the program's handler saw {} traps of ours", strangers + 0));
    return exact(code, kRounds);
  });
}

const bool stack_promises_registered =
    register_experiment("promise/altstack-kept", &altstack_kept) &&
    register_experiment("promise/small-stacks", &small_stacks) &&
    register_experiment("promise/sigtrap-may-be-blocked", &sigtrap_may_be_blocked) &&
    register_experiment("promise/sigtrap-may-be-taken", &sigtrap_may_be_taken);

} // namespace

} // namespace proberace
