// Acts whose bodies a child process executes.
#include "stress/code/mailbox.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/empty_program.h"
#include "stress/scenario/scenario_run.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

// In the child nothing of the run is touched but its code.
struct Children {
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
    const pid_t child = ::vfork();
    if (child == 0)
      ::_exit(execute(run, act.bodies) ? 0 : 1);
    judge(run, thread, act, child);
  }
};

namespace perform {

void Fork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, false);
}

void Exec(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::fork(run, thread, act, true);
}

void Vfork(ScenarioRun& run, std::size_t thread, const Act& act) {
  Children::vfork(run, thread, act);
}

} // namespace perform

} // namespace proberace
