// A prober is closed while a thread sleeps in the handler of a signal that was let in on its way out of a hit (H89), and
// while threads execute int3s and single steps of their own (H92).
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/testing/wait_for.h"

#include <atomic>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <thread>

namespace proberace {

namespace {

std::atomic<int> asleep{0};
std::atomic<int> awake{0};

// Where signals are held back from the hit handler, it arrives when the mask is given back.
void signal_itself(Hit&, void*) {
  raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), current_thread(), SIGUSR1);
}

void sleep_in_handler(int, siginfo_t*, void*) {
  constexpr timespec kWhile{0, 50'000'000};
  asleep.store(1, std::memory_order_release); // pairs with wait_for
  raw_syscall(SYS_nanosleep, &kWhile, nullptr);
  awake.store(1, std::memory_order_release); // pairs with the load below
}

Verdict closed_behind_a_hit(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status set = (*code)->prober().set_handler(&signal_itself, nullptr); !set)
    return needs_handler(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  on_signal(SIGUSR1, &sleep_in_handler);
  std::uint64_t result = 0;
  std::thread worker([&] { result = (*code)->function<Increment>()(1); });
  wait_for(asleep);
  const Status closed = (*code)->prober().close();
  // Signals that arrive before anything of a hit, or behind all of it, need not be waited for.
  const bool waited = awake.load(std::memory_order_acquire) != 0;
  worker.join();
  if (!closed)
    return broken("operation", describe(closed.error()));
  if (result != 2)
    return broken("wrong-result", fmt::format("{}", result));
  return held(waited ? "waited" : "did not wait");
}

std::atomic<std::uint64_t> own_traps{0};

void count_own_trap(int, siginfo_t*, void*) {
  own_traps.fetch_add(1, std::memory_order_relaxed);
}

Verdict closed_among_own_traps(const Json& parameters, Arena&) {
  constexpr int kTimes = 10;
  constexpr int kTimesWhereSlow = 2;
  const std::string strategy = parameters.at("strategy");
  on_signal(SIGTRAP, &count_own_trap, SA_NODEFER);
  std::atomic<bool> done{false};
  std::uint64_t executed = 0;
  std::thread trapping([&] {
    for (; !done.load(std::memory_order_relaxed); ++executed)
      asm volatile("int3");
  });
  constexpr std::uint64_t kStepsAtOnce = 4; // behind the first popf, the second among them
  std::uint64_t stepped = 0;
  std::thread stepping([&] {
    for (; !done.load(std::memory_order_relaxed); stepped += kStepsAtOnce)
      asm volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
                   "nop\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
                       : "memory", "cc");
  });
  const int times = facts_of(strategy).removal == Removal::Slow ? kTimesWhereSlow : kTimes;
  Status status;
  for (int n = 0; n < times && status; ++n) {
    auto code = ProbedCode::open(strategy, {kIncrement});
    status = code ? (*code)->insert_all() : Status(std::unexpected(code.error()));
    if (status)
      status = (*code)->prober().close();
  }
  done.store(true, std::memory_order_relaxed);
  trapping.join();
  stepping.join();
  if (!status)
    return verdict_of(status.error());
  const std::uint64_t seen = own_traps.load(std::memory_order_relaxed);
  if (seen != executed + stepped)
    return broken("own-traps-delivered", fmt::format("{} of {} int3s and {} steps", seen, executed, stepped));
  return executed != 0 && stepped != 0 ? held() : broken("path", "no trap was taken");
}

const bool closing_hazards_test_registered =
    register_experiment("test/closed-behind-a-hit", &closed_behind_a_hit) &&
    register_experiment("test/closed-among-own-traps", &closed_among_own_traps);

class ClosedBehindAHit : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(ClosedBehindAHit, H24_H89_AThreadThatSleepsInASignalHandlerIsWaitedFor) {
  PROBERACE_EXPECT_TEST_HELD("closed-behind-a-hit", GetParam());
  // It continues in a trampoline.
  if (facts_of(GetParam()).traps == Traps::NoHit) {
    EXPECT_EQ(v.summary, "waited");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, ClosedBehindAHit,
    testing::ValuesIn(strategies_promising({Promise::ExactCounts, Promise::RemovalWhileRunning})), test_name);

class ClosedAmongOwnTraps : public testing::TestWithParam<std::string> {};

TEST_P(ClosedAmongOwnTraps, H92_LetsAllOfThemThrough) {
  PROBERACE_EXPECT_TEST_HELD("closed-among-own-traps", GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, ClosedAmongOwnTraps,
    testing::ValuesIn(strategies_promising({Promise::ExactCounts, Promise::OwnTrapsDelivered})), test_name);

} // namespace proberace
