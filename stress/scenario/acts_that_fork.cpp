// Acts whose bodies a child process executes.
#include "harness/base/raw_syscall.h"
#include "stress/code/mailbox.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/empty_program.h"
#include "stress/scenario/guarded_stack.h"
#include "stress/scenario/own_probes.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace proberace {

// In the child nothing of the run is written, and nothing but its code used.
struct Children {
  using Living = ScenarioRun::LivingChild;
  static constexpr std::size_t kMostChildren = 2; // of a thread, at once
  static constexpr int kChangedParents = 2;       // an exit status

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
                           : WEXITSTATUS(status) == kChangedParents ? "changed its parent's probes"
                                                                    : "had a wrong result"));
  }

  // The prober of a parent that is supervised is not the child's to use: the probes stay, and work.
  static bool leaves_parents_prober(const ScenarioRun& run) noexcept {
    return run.prober_->facts().handled_by != HandledBy::Supervisor ||
           (!run.prober_->close() && !run.prober_->remove(run.sites_)[0] &&
            !run.prober_->insert(run.sites_)[0]);
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
      if (right && !exec && !leaves_parents_prober(run))
        ::_exit(kChangedParents);
      ::_exit(right && !exec ? 0 : 1);
    }
    judge(run, thread, act, child);
  }

  // Code of the thread's own is armed and removed by another thread meanwhile, again and again: a copy of the memory is
  // made, and let go, at any moment of a removal (H27).
  static void fork_beside_removals(ScenarioRun& run, std::size_t thread, const Act& act) {
    constexpr int kChildren = 24;
    const OwnProbes own(run, thread, "code that is forked");
    auto text =
        Text::make({{Placement{run.text_.bodies()[act.bodies[0]].body, 0}}}, text_memory_for(own.prober()));
    if (!text)
      return;
    text->declare(own.target());
    const PlacedBody& placed = text->bodies()[0];
    const auto site = own.target().site_at(placed.site);
    if (!site)
      return;
    std::atomic<bool> done{false};
    Status removed;
    std::thread other([&] {
      while (removed && !done.load(std::memory_order_relaxed))
        if (first_error(own.prober().insert({{*site}})))
          removed = first_error(own.prober().remove({{*site}}));
    });
    for (int n = 0; n < kChildren; ++n) {
      const pid_t child = ::fork();
      if (child == 0) {
        run.conductor_.forked();
        Mailbox mailbox;
        mailbox.ticket = 1;
        ::_exit(proberace_call_body(bytes_at(placed.entry), 1, 1, &mailbox) == expected_result(1) ? 0 : 1);
      }
      judge(run, thread, act, child);
    }
    done.store(true, std::memory_order_relaxed);
    other.join();
    if (is_left_armed(removed))
      own.keep(std::move(*text));
    else
      own.judge(removed, false, *placed.body);
  }

  static void die_of_fault(ScenarioRun& run, std::size_t thread, const Act& act, bool ignored);

  // Both run on this thread's thread-local storage, in its place (H28): a controlled run takes them for the thread. The
  // second has a stack of its own, as posix_spawn's has. Nothing says whether their hits are counted, and as whose.
  static void vfork(ScenarioRun& run, std::size_t thread, const Act& act) {
    const auto may_count = [&] {
      for (const std::size_t body : act.bodies)
        run.may_count(run.rows_.nested(thread), body);
    };
    may_count();
    const pid_t child = ::vfork(); // NOLINT: what is tried
    if (child == 0)
      ::_exit(execute(run, act.bodies) ? 0 : 1);
    judge(run, thread, act, child);

    const GuardedStack stack;
    if (stack.end() == nullptr)
      return;
    may_count();
    struct Spawned {
      const ScenarioRun& run;
      const std::vector<std::size_t>& bodies;
    } spawned{run, act.bodies};
    const auto main = [](void* argument) -> int {
      const auto& self = *static_cast<Spawned*>(argument);
      ::_exit(execute(self.run, self.bodies) ? 0 : 1);
    };
    judge(run, thread, act, ::clone(main, stack.end(), CLONE_VM | CLONE_VFORK | SIGCHLD, &spawned));
  }
};

// The kernel forces a fault's signal on a thread that blocks or ignores it, with its default action (force_sig_info).
void Children::die_of_fault(ScenarioRun& run, std::size_t thread, const Act& act, bool ignored) {
  const pid_t child = ::fork();
  if (child == 0) {
    run.conductor_.forked();
    constexpr rlimit kNoCore{1, 1}; // too small for a file; a helper is not started either (core(5))
    ::setrlimit(RLIMIT_CORE, &kNoCore);
    constexpr std::uint64_t kFault = std::uint64_t{1} << (SIGSEGV - 1);
    if (ignored)
      ::signal(SIGSEGV, SIG_IGN);
    else
      raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &kFault, nullptr, sizeof kFault);
    // Limits the CPU time, because a strategy that loses the fault executes the load again and again.
    constexpr itimerval kLongest{{}, {0, 300'000}};
    ::setitimer(ITIMER_PROF, &kLongest, nullptr);
    Mailbox mailbox;
    mailbox.load_from = kFaultsHere;
    proberace_call_body(bytes_at(run.text_.bodies()[act.bodies[0]].entry), 1, 1, &mailbox);
    ::_exit(0);
  }
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child > 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV))
    run.note(thread, property_name(BrokenProperty::FatalFault),
             fmt::format("the child of '{}', which {} SIGSEGV, {}", text_of(act),
                         ignored ? "ignores" : "blocks",
                         WIFSIGNALED(status) ? fmt::format("died of SIG{}", sigabbrev_np(WTERMSIG(status)))
                                             : "lived on"));
}

void ScenarioRun::end_children() {
  scratch_.children_ended.fetch_add(1, std::memory_order_release); // pairs with live_on
  for (std::size_t t = 0; t < threads(); ++t)
    for (const LivingChild& child : std::exchange(children_[t], {}))
      Children::judge(*this, t, *child.act, child.process);
}

namespace perform {

void Fork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, false);
  // Once for each thread, because it takes as long as some ten forks. A close would meet the other thread's removals.
  const bool first = run.deeds_[thread].acts[static_cast<std::size_t>(ActKind::Fork)] == 1;
  if (first && !run.controlled_ && !some_act_has(run.scenario_, kCloses) &&
      run.prober_->facts().removal != Removal::Slow)
    Children::fork_beside_removals(run, thread, act);
}

void Child(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork_one_that_lives_on(run, thread, act);
}

void Exec(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, true);
}

void Fatal(ScenarioRun& run, std::size_t thread, const Act& act) {
  for (const bool ignored : {true, false})
    Children::die_of_fault(run, thread, act, ignored);
}

void Vfork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::vfork(run, thread, act);
}

} // namespace perform

} // namespace proberace
