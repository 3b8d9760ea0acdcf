// Promises about other processes, one experiment each, named promise/<promise>: forked children, children
// that share the memory (H28), helpers that die (H77).
#include "harness/base/raw_syscall.h"
#include "stress/code/probed_code.h"
#include "stress/promises/own_helpers.h"

#include <atomic>
#include <fmt/format.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- fork-safe: the child runs on, and its hits are not the parent's.

Verdict fork_safe(const Json& parameters, Arena&) {
  static constexpr int kTimes = 100;
  return with_probes(parameters, {"mov", "add"}, [](ProbedText& probed) {
    const auto run = [&probed] {
      bool right = true;
      for (int i = 0; i < kTimes; ++i)
        right = probed.execute(0) && probed.execute(1) && right;
      return right;
    };
    if (!run())
      return broken("wrong-result", "wrong result before the fork");
    const pid_t child = ::fork();
    if (child == 0)
      ::_exit(run() ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      return broken("child", fmt::format("the forked child ended with status {:#x}", status));
    const std::uint64_t after_child = probed.prober().hits(probed.site(0));
    if (after_child != kTimes)
      return broken("wrong-count", fmt::format("{} executions of the parent, {} hits after the child ran",
                                               kTimes, after_child));
    if (!run() || probed.prober().hits(probed.site(0)) != 2 * kTimes)
      return broken("wrong-count", "the parent's counts are wrong after the child has ended");
    return held();
  });
}

// ---- vfork-safe

constexpr std::uint64_t kRuns = 50;

// In the child, on a stack of its own and the parent's thread-local storage: no libc.
int run_in_child(void* argument) {
  auto* const run = static_cast<ProbedCode*>(argument)->function<Increment>();
  bool right = true;
  for (std::uint64_t i = 0; i < kRuns; ++i)
    right = run(i) == i + 1 && right;
  raw_syscall(SYS_exit, right ? 0 : 1);
  return 0;
}

std::string end_of(pid_t child) {
  int status = -1;
  if (::waitpid(child, &status, __WALL) != child)
    return "was not there to wait for";
  return status == 0 ? "" : fmt::format("ended with status {:#x}", static_cast<unsigned>(status));
}

// The parent runs on meanwhile, unless it is suspended (CLONE_VFORK).
Verdict child_shares_memory(const Json& parameters, int flags, const char* what) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  alignas(16) static std::uint8_t stack[64 * 1024];
  auto* const run = (*code)->function<Increment>();
  if (run(1) != 2)
    return broken("wrong-result", "wrong result before the child");
  const pid_t child = ::clone(&run_in_child, stack + sizeof stack, flags | SIGCHLD, code->get());
  bool right = true;
  std::uint64_t own = 1;
  for (std::uint64_t i = 0; i < kRuns; ++i, ++own)
    right = run(i) == i + 1 && right;
  if (const std::string end = end_of(child); !end.empty())
    return broken("child", fmt::format("{}: the child {}", what, end));
  if (!right || run(1) != 2)
    return broken("wrong-result", fmt::format("{}: wrong result in the parent", what));
  if (const std::uint64_t hits = (*code)->hits(0); hits < own + 1 || hits > own + 1 + kRuns)
    return broken("wrong-count",
                  fmt::format("{}: {} executions of the parent, {} hits", what, own + 1, hits));
  return held();
}

// libc's child executes execve with SIGTRAP's action reset.
Verdict spawned(const Json& parameters) {
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  const auto site = target.site_at(address_of(reinterpret_cast<const void*>(&::execve)));
  if (!prober || !site)
    return verdict_of(prober ? site.error() : prober.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  if (const Status inserted = first_error((*prober)->insert({{*site}})); !inserted)
    return verdict_of(inserted.error());
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  char* const environment[] = {nullptr};
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, "/bin/true", nullptr, nullptr, arguments, environment);
      error != 0)
    return broken("spawn", fmt::format("posix_spawn with a probe on execve: error {}", error));
  if (const std::string end = end_of(child); !end.empty())
    return broken("spawn", fmt::format("posix_spawn with a probe on execve: the child {}", end));
  return held();
}

Verdict vfork_safe(const Json& parameters, Arena&) {
  if (const Verdict v = child_shares_memory(parameters, CLONE_VM | CLONE_VFORK, "vfork"); !v.is(Ending::Held))
    return v;
  if (const Verdict v = child_shares_memory(parameters, CLONE_VM, "clone(CLONE_VM)"); !v.is(Ending::Held))
    return v;
  return spawned(parameters);
}

// ---- helper-may-die: every process that the prober started is killed on sight, while it arms, and while it
// is armed and hit.

Verdict helper_may_die(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  const std::uint64_t word = 9;
  constexpr int kRounds = 30; // insertions and removals under fire
  constexpr std::uint64_t kLeast = 300;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> executions{0};
  std::atomic<bool> wrong{false};
  // Another promise covers this: a strategy that needs threads to hold still gets that here.
  const Promises promised = (*code)->prober().promises();
  std::atomic<bool> may_run{promised.has(Promise::InsertionWhileRunning) &&
                            promised.has(Promise::RemovalWhileRunning)};
  std::thread worker([&] {
    while (!may_run.load(std::memory_order_acquire)) // pairs with the last insertion
      std::this_thread::yield();
    while (!stop.load(std::memory_order_relaxed)) { // ends the loop, orders nothing
      wrong = (*code)->function<Increment>()(4) != 5 || (*code)->function<Load>(1)(&word) != word || wrong;
      executions.fetch_add(1, std::memory_order_relaxed); // progress only
    }
  });
  std::atomic<int> killed{0};
  std::jthread hunter([&killed](std::stop_token stopping) {
    while (!stopping.stop_requested())
      for (const pid_t helper : own_helpers())
        if (::kill(helper, SIGKILL) == 0)
          killed.fetch_add(1, std::memory_order_relaxed); // a statistic
  });
  const bool slow = removes_slowly(parameters);
  for (int i = 0; i < (slow ? 1 : kRounds); ++i) {
    (void)(*code)->insert_all(); // may be refused with an error: its helper died
    (void)(*code)->remove_all();
  }
  (void)(*code)->insert_all();
  may_run.store(true, std::memory_order_release); // pairs with the worker
  const std::uint64_t until = executions.load(std::memory_order_relaxed) + kLeast;
  while (executions.load(std::memory_order_relaxed) < until)
    std::this_thread::yield();
  hunter.request_stop();
  hunter.join();
  stop.store(true, std::memory_order_relaxed);
  worker.join();
  const int helpers = killed.load(std::memory_order_relaxed);
  if (wrong)
    return broken("wrong-result", fmt::format("wrong result after {} helpers were killed", helpers));
  return held(helpers == 0 ? "no helper was seen" : fmt::format("{} helpers killed", helpers));
}

const bool process_promises_registered = register_experiment("promise/fork-safe", &fork_safe) &&
                                         register_experiment("promise/vfork-safe", &vfork_safe) &&
                                         register_experiment("promise/helper-may-die", &helper_may_die);

} // namespace

} // namespace proberace
