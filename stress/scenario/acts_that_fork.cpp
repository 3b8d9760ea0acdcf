// Acts whose bodies a child process executes.
#include "harness/base/raw_syscall.h"
#include "stress/code/mailbox.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/empty_program.h"
#include "stress/scenario/scenario_run.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace proberace {

// In the child nothing of the run is written, and nothing but its code used.
struct Children {
  using Living = ScenarioRun::LivingChild;
  static constexpr std::size_t kMostChildren = 2; // of a thread, at once

  static bool execute(const ScenarioRun& run, const std::vector<std::size_t>& bodies) noexcept {
    Mailbox mailbox;
    for (const std::size_t body : bodies) {
      mailbox.ticket = mailbox.ticket + 1;
      const std::uint64_t ticket = mailbox.ticket;
      if (proberace_call_body(bytes_at(run.text_.bodies()[body].entry), ticket, ticket, &mailbox) !=
          expected_result(ticket))
        return false;
    }
    return true;
  }

  // Executes after everything that the parent does meanwhile. Ends with the parent, too.
  [[noreturn]] static void live_on(const ScenarioRun& run, const std::vector<std::size_t>& bodies,
                                   pid_t parent, std::uint32_t until) noexcept {
    constexpr timespec kPause{0, 200'000};
    bool right = execute(run, bodies);
    while (right &&
           run.scratch_.children_ended.load(std::memory_order_acquire) == until) { // pairs with end_children
      if (raw_syscall(SYS_getppid) != parent)
        ::_exit(0);
      raw_syscall(SYS_nanosleep, &kPause, nullptr);
      right = execute(run, bodies);
    }
    ::_exit(right && execute(run, bodies) ? 0 : 1);
  }

  static void fork_one_that_lives_on(ScenarioRun& run, std::size_t thread, const Act& act) {
    std::vector<Living>& living = run.children_[thread];
    if (living.size() == kMostChildren)
      return;
    const std::uint32_t until = run.scratch_.children_ended.load(std::memory_order_relaxed);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      run.conductor_.forked();
      live_on(run, act.bodies, parent, until);
    }
    if (child > 0)
      living.push_back({child, &act});
  }

  static void judge(ScenarioRun& run, std::size_t thread, const Act& act, pid_t child) {
    int status = 0;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && status != 0) // no child if the machine has no process left
      run.note(thread,
               act.kind == ActKind::Vfork ? property_name(BrokenProperty::VforkSafe)
                                          : property_name(BrokenProperty::ForkSafe),
               fmt::format("the child of '{}' {}", text_of(act),
                           WIFSIGNALED(status) ? fmt::format("died of SIG{}", sigabbrev_np(WTERMSIG(status)))
                                               : "had a wrong result"));
  }

  // The child counts in memory of its own (H72), and runs whatever is armed (H27). It is no part of a
  // controlled run: all of it is one step.
  static void fork(ScenarioRun& run, std::size_t thread, const Act& act, bool exec) {
    const pid_t child = ::fork();
    if (child == 0) {
      run.conductor_.forked();
      const bool right = execute(run, act.bodies);
      if (right && exec)
        become_empty_program();
      ::_exit(right && !exec ? 0 : 1);
    }
    judge(run, thread, act, child);
  }

  // On this thread's stack and thread-local storage, in its place (H28): a controlled run takes it for the
  // thread. Nothing says whether its hits are counted, and as whose.
  static void vfork(ScenarioRun& run, std::size_t thread, const Act& act) {
    for (const std::size_t body : act.bodies)
      ++run.scratch_.tallies[run.rows_.nested(thread)][body].started;
    const pid_t child = ::vfork(); // NOLINT: what is tried
    if (child == 0)
      ::_exit(execute(run, act.bodies) ? 0 : 1);
    judge(run, thread, act, child);
  }
};

void ScenarioRun::end_children() {
  scratch_.children_ended.fetch_add(1, std::memory_order_release); // pairs with live_on
  for (std::size_t t = 0; t < threads(); ++t)
    for (const LivingChild& child : std::exchange(children_[t], {}))
      Children::judge(*this, t, *child.act, child.process);
}

namespace perform {

void Fork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, false);
}

void Child(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork_one_that_lives_on(run, thread, act);
}

void Exec(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, true);
}

void Vfork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::vfork(run, thread, act);
}

} // namespace perform

} // namespace proberace
