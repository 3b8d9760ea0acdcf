// Threads and processes around the probes: H08, H27, H74, H77; and what only the x87 unit remembers, H78.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include "harness/base/raw_syscall.h"

#include <atomic>
#include <cerrno>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- H08: one thread blocks every signal, one waits uninterruptibly for a vfork child.

Verdict deaf_threads(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  std::atomic<bool> stop{false};
  std::atomic<bool> deaf{false};
  std::thread blocker([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    deaf.store(true, std::memory_order_release); // pairs with the wait below
    while (!stop.load(std::memory_order_relaxed))
      ::usleep(500);
  });
  std::atomic<bool> forking{false};
  std::atomic<bool> back{false};
  std::thread waiter([&] {
    constexpr timespec kChildSleeps{0, 250'000'000};
    forking.store(true, std::memory_order_release); // pairs with the wait below
    const pid_t child = ::vfork();                  // NOLINT: what is tried
    if (child == 0) {
      raw_syscall(SYS_nanosleep, &kChildSleeps, nullptr);
      raw_syscall(SYS_exit, 0);
    }
    back.store(true, std::memory_order_release); // pairs with the load below
    ::waitpid(child, nullptr, 0);
  });
  while (!deaf.load(std::memory_order_acquire) || !forking.load(std::memory_order_acquire))
    ::usleep(100);
  ::usleep(5000);
  const bool suspended = !back.load(std::memory_order_acquire);
  const Status inserted = (*code)->insert_all();
  const bool right = (*code)->function<Increment>()(1) == 2;
  const std::uint64_t hits = (*code)->hits(0);
  if (inserted)
    (void)(*code)->remove_all(); // may fail as insert may
  waiter.join();
  stop.store(true, std::memory_order_relaxed);
  blocker.join();
  if (!suspended || !right)
    return broken("setup", "the vfork child came back too soon, or a wrong result");
  if (hits != (inserted ? 1U : 0U))
    return broken("wrong-count", fmt::format("{} hits, insert {}", hits, inserted ? "succeeded" : "failed"));
  if (!inserted && inserted.error().message.empty())
    return broken("words", "failed without a word");
  (void)(*code)->remove_all();
  if (const Status again = (*code)->insert_all(); !again)
    return broken("again", "without such threads: " + describe(again.error()));
  return held(inserted ? "armed" : "refused: " + describe(inserted.error()));
}

// ---- H27: the hit handler forks.

pid_t forked = -1;

void fork_here(Hit&, void*) {
  forked = static_cast<pid_t>(raw_syscall(SYS_fork));
}

Verdict fork_inside_a_hit(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status set = (*code)->prober().set_handler(&fork_here, nullptr); !set)
    return needs_handler(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  const std::uint64_t result = (*code)->function<Increment>()(1);
  if (forked == 0)
    raw_syscall(SYS_exit_group, result == 2 ? 0 : 1);
  int status = -1;
  if (::waitpid(forked, &status, 0) != forked || status != 0)
    return broken("child", fmt::format("the child forked inside a hit ended with status {:#x}", status));
  return result == 2 && (*code)->hits(0) == 1 ? held()
                                              : broken("wrong-count", "the parent's result or count");
}

// ---- H74: a thread that hit ends while armed; after the last removal nothing is writable and executable,
// and a new thread, which may get the cached stack, finds it so.

std::size_t executable_stack(const void* here) {
  const AddressSpace space = AddressSpace::read();
  const Mapping* const stack = space.find(address_of(here));
  return stack != nullptr && stack->executable ? stack->bytes() : 0;
}

Verdict thread_leaves_its_memory(const Json& parameters, Arena&) {
  const std::size_t before = AddressSpace::read().writable_executable_bytes();
  auto code = ProbedCode::armed(parameters, {kIncrement});
  if (!code)
    return verdict_of(code.error());
  const auto run = [&] { (*code)->function<Increment>()(1); };
  for (int i = 0; i < 3; ++i)
    std::thread(run).join();
  std::atomic<bool> hit{false};
  std::atomic<bool> removed{false};
  std::thread survivor([&] { // outlives the removal
    run();
    hit.store(true, std::memory_order_release); // pairs with the wait below
    while (!removed.load(std::memory_order_acquire))
      ::usleep(200);
  });
  while (!hit.load(std::memory_order_acquire))
    ::usleep(200);
  const Status done = (*code)->remove_all();
  const std::size_t left = AddressSpace::read().writable_executable_bytes();
  removed.store(true, std::memory_order_release); // pairs with the survivor's wait
  survivor.join();
  std::size_t stack = 0;
  std::thread([&stack] {
    const int here = 0;
    stack = executable_stack(&here);
  }).join();
  if (!done)
    return broken("operation", describe(done.error()));
  if (left > before || stack != 0)
    return broken("executable",
                  fmt::format("after the last removal {} bytes are writable and executable, {} of a new "
                              "thread's stack are executable",
                              left - before, stack));
  const Status closed = (*code)->prober().close();
  return closed ? held() : broken("close", describe(closed.error()));
}

// ---- H77: the program's own wait and SIGCHLD, while probes come and go.

std::atomic<int> child_signals{0};

Verdict no_stranger(const Json& parameters, Arena&) {
  on_signal(SIGCHLD, [](int, siginfo_t*, void*) { child_signals.fetch_add(1, std::memory_order_relaxed); });
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  std::atomic<bool> stop{false};
  std::atomic<pid_t> stranger{0};
  std::thread waiter([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      const pid_t found = ::waitpid(-1, nullptr, WNOHANG);
      if (found >= 0 || errno != ECHILD)
        stranger.store(found == 0 ? -1 : found, std::memory_order_relaxed); // read after the join
    }
  });
  Status done;
  for (int round = 0; done && round < (removes_slowly(parameters) ? 1 : 10); ++round) {
    done = (*code)->insert_all();
    (*code)->function<Increment>()(1);
    if (done)
      done = (*code)->remove_all();
  }
  stop.store(true, std::memory_order_relaxed);
  waiter.join();
  if (!done)
    return verdict_of(done.error());
  if (stranger != 0)
    return broken("stranger", "the program's wait() saw a child it never made");
  return child_signals == 0 ? held() : broken("stranger", "the program got SIGCHLD of a child it never made");
}

// ---- H78

PROBERACE_SNIPPET(X87, R"(
        fninit
        SITE
        .byte   0xd9, 0x87, 0x00, 0x00, 0x00, 0x00
        fnstenv (%rsi)
        fninit
        ret
)");

// The last x87 instruction's address is the site's, or lost (0) where the processor does not keep it across
// the kernel; never a slot's.
Verdict x87_pointer(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kX87});
  if (!code)
    return verdict_of(code.error());
  const Status inserted = (*code)->insert_all();
  if (!inserted && inserted.error().kind == ErrorKind::InstructionUnsupported)
    return held("refused: " + describe(inserted.error()));
  if (!inserted)
    return verdict_of(inserted.error());
  const float one = 1;
  std::uint32_t environment[7] = {}; // SDM vol. 1, figure 8-9: word 3 is the instruction pointer
  (*code)->function<void(const float*, std::uint32_t*)>()(&one, environment);
  const auto site = static_cast<std::uint32_t>(value((*code)->site(0).address));
  if ((*code)->hits(0) != 1)
    return broken("wrong-count", "not one hit");
  return environment[3] == 0 || environment[3] == site
             ? held()
             : broken("pointer", fmt::format("the x87 instruction pointer is {:#x}, the site {:#x}",
                                             environment[3], site));
}

const bool bystander_hazards_test_registered =
    register_experiment("test/deaf-threads", &deaf_threads) &&
    register_experiment("test/fork-inside-a-hit", &fork_inside_a_hit) &&
    register_experiment("test/thread-leaves-its-memory", &thread_leaves_its_memory) &&
    register_experiment("test/no-stranger", &no_stranger) &&
    register_experiment("test/x87-pointer", &x87_pointer);

class X87 : public testing::TestWithParam<std::string> {};
class Bystanders : public testing::TestWithParam<std::string> {};
class ForkInside : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(Bystanders, H08_ThreadsThatHearNoSignalDoNotHangInsertion) {
  PROBERACE_EXPECT_TEST_HELD("deaf-threads", GetParam());
}

TEST_P(Bystanders, H74_AThreadThatEndsLeavesNoExecutableMemory) {
  PROBERACE_EXPECT_TEST_HELD("thread-leaves-its-memory", GetParam());
}

TEST_P(Bystanders, H77_TheProgramsWaitSeesNoStranger) {
  PROBERACE_EXPECT_TEST_HELD("no-stranger", GetParam());
}

TEST_P(X87, H78_TheX87InstructionPointerIsNeverASlots) {
  PROBERACE_EXPECT_TEST_HELD("x87-pointer", GetParam());
}

TEST_P(ForkInside, H27_AHitHandlerForks) {
  PROBERACE_EXPECT_TEST_HELD("fork-inside-a-hit", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Strategies, Bystanders,
                         testing::ValuesIn(strategies_promising({Promise::ExactCounts})), test_name);
// As far as the PC itself is hidden: a slot that is left by a jump shows there (seen with stack-slot and
// jump). Not the kernel's uprobes: on Linux 6.18 the pointer shows their out-of-line area.
INSTANTIATE_TEST_SUITE_P(
    Strategies, X87, testing::ValuesIn(ours_promising({Promise::ExactCounts, Promise::SignalsSeeOriginalPc})),
    test_name);
INSTANTIATE_TEST_SUITE_P(Strategies, ForkInside, testing::ValuesIn(strategies_promising({Promise::ForkSafe})),
                         test_name);

} // namespace proberace
