// A tracer must pass on queued signals with their values, job control, and the signals of children that share
// the memory; and the effect of its stops on system calls (H19).
#include "stress/code/armed_text.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- Queued signals: each value once, in order, from the sender that sent it.

constexpr int kSignals = 2000;
std::atomic<int> taken{0};
std::atomic<int> wrong{0};

void take(int, siginfo_t* info, void*) {
  const int n = taken.load(std::memory_order_relaxed); // one thread takes them all
  if (info->si_value.sival_int != n || info->si_code != SI_QUEUE || info->si_pid != ::getpid())
    wrong.fetch_add(1, std::memory_order_relaxed);
  taken.store(n + 1, std::memory_order_relaxed);
}

Verdict signals_intact(const Json& parameters, Arena&) {
  auto probed = armed_text(parameters, {"mov", "call"});
  if (!probed)
    return verdict_of(probed.error());
  struct sigaction action {};
  action.sa_sigaction = &take;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGRTMIN, &action, nullptr);
  const pthread_t self = ::pthread_self();
  std::jthread storm([self] {
    for (int i = 0; i < kSignals; ++i) {
      sigval value{};
      value.sival_int = i;
      while (::pthread_sigqueue(self, SIGRTMIN, value) == EAGAIN)
        std::this_thread::yield();
      if (i % 4 == 0)
        std::this_thread::yield();
    }
  });
  std::uint64_t executions = 0;
  while (taken.load(std::memory_order_relaxed) < kSignals && executions < 1'000'000)
    if (!(*probed)->execute(executions++ % 2))
      return broken("wrong-result", "the body's result is wrong");
  storm.join();
  const std::uint64_t hits =
      (*probed)->prober().hits((*probed)->site(0)) + (*probed)->prober().hits((*probed)->site(1));
  if (taken.load() != kSignals || wrong.load() != 0)
    return broken("signals", fmt::format("{} of {} signals taken, {} with another value or out of order",
                                         taken.load(), kSignals, wrong.load()));
  if (hits != executions)
    return broken("wrong-count", fmt::format("{} executions, {} hits", executions, hits));
  return held();
}

// ---- Job control, from a process outside that also looks at the state.

struct Shared {
  std::atomic<std::uint64_t> executions{0};
  std::atomic<int> moved_while_stopped{-1};
  std::atomic<int> done{0};
};

// A thread in a hit and one in a group stop look alike from outside (state t), so the stop is seen by what
// does not happen: no execution for a while. A busy machine may give such a while to a program that runs, but
// not five times.
bool comes_to_rest(const std::atomic<std::uint64_t>& executions) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    const std::uint64_t before = executions.load(std::memory_order_relaxed);
    ::usleep(50'000);
    if (executions.load(std::memory_order_relaxed) == before)
      return true;
  }
  return false;
}

[[noreturn]] void stop_and_continue(Shared& shared, pid_t program) {
  int moved = 0;
  for (int round = 0; round < 5; ++round) {
    const std::uint64_t before = shared.executions.load(std::memory_order_relaxed);
    while (shared.executions.load(std::memory_order_relaxed) < before + 200)
      ::usleep(200);
    ::kill(program, SIGSTOP);
    moved += comes_to_rest(shared.executions) ? 0 : 1;
    ::kill(program, SIGCONT);
  }
  shared.moved_while_stopped.store(moved, std::memory_order_relaxed);
  shared.done.store(1, std::memory_order_release); // pairs with job_control
  ::_exit(0);
}

Verdict job_control(const Json& parameters, Arena&) {
  auto* const shared =
      new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared;
  const pid_t program = ::getpid();
  const pid_t outside = ::fork();
  if (outside == 0)
    stop_and_continue(*shared, program);
  auto probed = armed_text(parameters, {"mov", "call"});
  if (!probed)
    return verdict_of(probed.error());
  std::atomic<bool> right{true};
  const auto work = [&] {
    while (shared->done.load(std::memory_order_acquire) == 0) { // pairs with stop_and_continue
      if (!(*probed)->execute(0))
        right.store(false, std::memory_order_relaxed);
      shared->executions.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::jthread other(work);
  work();
  other.join();
  ::waitpid(outside, nullptr, 0);
  const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(0));
  const std::uint64_t executions = shared->executions.load(std::memory_order_relaxed);
  if (!right.load() || hits != executions)
    return broken("wrong-count", fmt::format("{} executions, {} hits", executions, hits));
  if (const int moved = shared->moved_while_stopped.load(); moved != 0)
    return broken("stop", fmt::format("in {} of 5 stops the program ran on", moved));
  return held();
}

// ---- Children that share the memory.

Verdict vfork_child(const Json& parameters, Arena&) {
  constexpr int kTimes = 50;
  auto probed = armed_text(parameters, {"mov", "call"});
  if (!probed)
    return verdict_of(probed.error());
  const ProbedText& p = **probed;
  static volatile int right = 0;
  const pid_t child = ::vfork();
  if (child == 0) {
    right = 1;
    for (int i = 0; i < kTimes; ++i)
      if (!p.execute(0) || !p.execute(1))
        right = 0;
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0 || right != 1)
    return broken("child", fmt::format("the child ended with status {:#x}, its results were {}", status,
                                       right == 1 ? "right" : "wrong"));
  pid_t spawned = 0;
  char program[] = "/bin/true";
  char* arguments[] = {program, nullptr};
  if (::posix_spawn(&spawned, program, nullptr, nullptr, arguments, environ) != 0)
    return broken("spawn", "posix_spawn failed");
  ::waitpid(spawned, &status, 0);
  if (status != 0)
    return broken("spawn", fmt::format("/bin/true ended with status {:#x}", status));
  for (int i = 0; i < kTimes; ++i)
    if (!p.execute(0))
      return broken("wrong-result", "the body's result is wrong after the children");
  const std::uint64_t hits = (*probed)->prober().hits(p.site(0));
  if (hits != 2 * kTimes)
    return broken("wrong-count", fmt::format("{} executions by parent and child, {} hits", 2 * kTimes, hits));
  return held();
}

// ---- System calls that are stopped: which return early?

struct Call {
  const char* name;
  long (*block)(); // for a while, with a timeout; its result, -errno
  bool restarts;   // after a stop, by signal(7)
};

constexpr int kMilliseconds = 150;
constexpr timespec kWhile{0, kMilliseconds * 1'000'000};

const Call kCalls[] = {
    {"nanosleep", [] { return ::nanosleep(&kWhile, nullptr) == 0 ? 0L : -errno; }, true},
    {"poll", [] { return ::poll(nullptr, 0, kMilliseconds) == 0 ? 0L : -errno; }, true},
    {"futex",
     [] {
       static int word = 0;
       ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &kWhile, nullptr, 0);
       return errno == ETIMEDOUT ? 0L : -errno;
     },
     true},
    {"epoll_wait",
     [] {
       const int epoll = ::epoll_create1(0);
       epoll_event event{};
       const long result = ::epoll_wait(epoll, &event, 1, kMilliseconds) == 0 ? 0L : -errno;
       ::close(epoll);
       return result;
     },
     false},
};

Verdict system_calls(const Json& parameters, Arena&) {
  auto probed = armed_text(parameters, {"mov", "call"});
  if (!probed)
    return verdict_of(probed.error());
  long results[std::size(kCalls)] = {};
  std::atomic<int> running{0};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::size(kCalls); ++i)
    threads.emplace_back([&, i] {
      running.fetch_add(1, std::memory_order_relaxed);
      results[i] = kCalls[i].block();
    });
  while (running.load(std::memory_order_relaxed) < static_cast<int>(std::size(kCalls)))
    ::usleep(100);
  ::usleep(5000);
  for (int i = 0; i < 5; ++i) {
    if (const Status removed = (*probed)->remove_all(); !removed)
      return verdict_of(removed.error());
    if (const Status inserted = (*probed)->insert_all(); !inserted)
      return verdict_of(inserted.error());
  }
  threads.clear(); // joins
  Verdict v = held();
  for (std::size_t i = 0; i < std::size(kCalls); ++i) {
    v.data[kCalls[i].name] = results[i];
    if (kCalls[i].restarts && results[i] != 0)
      return broken("system-call", fmt::format("{} returned {}", kCalls[i].name, results[i]));
  }
  return v;
}

const bool ptrace_signals_test_registered =
    register_experiment("test/ptrace-signals-intact", &signals_intact) &&
    register_experiment("test/ptrace-job-control", &job_control) &&
    register_experiment("test/ptrace-vfork-child", &vfork_child) &&
    register_experiment("test/ptrace-system-calls", &system_calls);

class TracerPassesOn : public testing::TestWithParam<std::string> {
protected:
  static Verdict run(const std::string& experiment, CellSpec& spec) {
    spec.experiment = experiment;
    spec.parameters = Json{{"strategy", GetParam()}};
    return run_cell(spec);
  }
};

} // namespace

// Fails if a signal that arrives during a step, or any other, is dropped or loses its siginfo.
TEST_P(TracerPassesOn, H24_EveryQueuedSignalWithItsValue) {
  CellSpec spec;
  const Verdict v = run("test/ptrace-signals-intact", spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

// Fails if a group stop is resumed instead of listened to.
TEST_P(TracerPassesOn, JobControlStopsAndContinuesTheProgram) {
  CellSpec spec;
  const Verdict v = run("test/ptrace-job-control", spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

TEST_P(TracerPassesOn, H28_AChildThatSharesTheMemoryMayHit) {
  CellSpec spec;
  const Verdict v = run("test/ptrace-vfork-child", spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

// Calls that the kernel restarts are not disturbed. epoll_wait is not one of them, and not promised: with
// stop-world it returns EINTR; poke interrupts only the thread that inserts.
TEST_P(TracerPassesOn, H19_StopsDoNotEndSystemCallsThatRestart) {
  CellSpec spec;
  const Verdict v = run("test/ptrace-system-calls", spec);
  PROBERACE_EXPECT_HELD(v, spec);
  const bool all_stopped = facts_of(GetParam()).stops_threads;
  EXPECT_EQ(v.data["epoll_wait"], all_stopped ? -EINTR : 0);
}

INSTANTIATE_TEST_SUITE_P(Strategies, TracerPassesOn,
                         testing::Values("ptrace:poke+xol-vma", "ptrace:stop-world+xol-vma"), test_name);

} // namespace proberace
