// The supervisor as a process: H77 (no child, and what its death does), H71 (SIGTRAP blocked at a hit), what
// is left after close.
#include "stress/code/armed_text.h"
#include "stress/testing/expect_cell.h"

#include "harness/base/signal_action.h"
#include "harness/ptrace/proc_status.h"

#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

bool sees_a_child() {
  return ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD ||
         ::waitpid(-1, nullptr, WNOHANG | __WALL) != -1 || errno != ECHILD;
}

Verdict no_child(const Json& parameters, Arena&) {
  auto probed = armed_text(parameters, {"mov"});
  if (!probed)
    return verdict_of(probed.error());
  const pid_t supervisor = tracer_of(::getpid());
  if (supervisor == 0)
    return broken("setup", "nobody traces this process");
  if (sees_a_child())
    return broken("child", "the program's wait() sees a stranger while probes are armed");
  if (const Status closed = (*probed)->prober().close(); !closed)
    return verdict_of(closed.error());
  if (sees_a_child())
    return broken("child", "the program's wait() sees a stranger after close");
  if (tracer_of(::getpid()) != 0)
    return broken("tracer", "the program is still traced after close");
  if (!has_ended(supervisor))
    return broken("process", "the supervisor outlives close");
  return held();
}

void kill_supervisor() {
  ::kill(tracer_of(::getpid()), SIGKILL);
  while (tracer_of(::getpid()) != 0)
    ::usleep(100);
}

Verdict killed_while_armed(const Json& parameters, Arena&) {
  auto probed = armed_text(parameters, {"mov"});
  if (!probed)
    return verdict_of(probed.error());
  kill_supervisor();
  ::signal(SIGTRAP, SIG_DFL);
  (*probed)->execute(0);
  return held("the program runs on");
}

Verdict killed_while_clear(const Json& parameters, Arena&) {
  auto probed = armed_text(parameters, {"mov"});
  if (!probed)
    return verdict_of(probed.error());
  if (const Status removed = (*probed)->remove_all(); !removed)
    return verdict_of(removed.error());
  kill_supervisor();
  if (!(*probed)->execute(0))
    return broken("wrong-result", "the body's result is wrong");
  if (const Status inserted = (*probed)->insert_all(); inserted || inserted.error().kind != ErrorKind::System)
    return broken("silence", "an insertion without a supervisor does not say so");
  return held();
}

void ignore_trap(int, siginfo_t*, void*) {}

Verdict sigtrap_blocked(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 100;
  auto probed = armed_text(parameters, {"mov"});
  if (!probed)
    return verdict_of(probed.error());
  (void)install_signal_action(SIGTRAP, &ignore_trap, 0, 0);
  sigset_t trap;
  ::sigemptyset(&trap);
  ::sigaddset(&trap, SIGTRAP);
  ::pthread_sigmask(SIG_BLOCK, &trap, nullptr);
  for (std::uint64_t i = 0; i < kTimes; ++i)
    if (!(*probed)->execute(0))
      return broken("wrong-result", "the body's result is wrong");
  const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(0));
  if (hits != kTimes)
    return broken("wrong-count", fmt::format("{} executions, {} hits", kTimes, hits));
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  Verdict v = held();
  v.data["still_blocked"] = ::sigismember(&mask, SIGTRAP) == 1;
  v.data["handler_kept"] = current_signal_action(SIGTRAP).handler == &ignore_trap;
  return v;
}

const bool ptrace_process_test_registered =
    register_experiment("test/ptrace-no-child", &no_child) &&
    register_experiment("test/ptrace-killed-while-armed", &killed_while_armed) &&
    register_experiment("test/ptrace-killed-while-clear", &killed_while_clear) &&
    register_experiment("test/ptrace-sigtrap-blocked", &sigtrap_blocked);

class Supervised : public testing::TestWithParam<std::string> {
protected:
  static CellSpec cell(const std::string& experiment) {
    CellSpec spec;
    spec.experiment = experiment;
    spec.parameters = Json{{"strategy", GetParam()}};
    return spec;
  }
};

} // namespace

TEST_P(Supervised, H77_TheSupervisorIsNoChildAndEndsAtClose) {
  const CellSpec spec = cell("test/ptrace-no-child");
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

// Not promised: this is what happens, and what the documentation says.
TEST_P(Supervised, H77_KilledItLeavesAnArmedProgramToDieAtItsNextHit) {
  const Verdict v = run_cell(cell("test/ptrace-killed-while-armed"));
  EXPECT_EQ(name(v.ending), name(Ending::Crashed)) << v.summary;
  EXPECT_EQ(v.evidence["signal"], "SIGTRAP");
}

TEST_P(Supervised, H77_KilledItLeavesAClearProgramUnharmed) {
  const CellSpec spec = cell("test/ptrace-killed-while-clear");
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

// Counted all the same; but the kernel has unblocked SIGTRAP and taken its handler away
// (force_sig_info_to_task), which no tracer can undo, because it cannot know that SIGTRAP was blocked. Not
// promised.
TEST_P(Supervised, H71_SigtrapBlockedAtAHitIsCountedAndTheMaskIsLost) {
  const CellSpec spec = cell("test/ptrace-sigtrap-blocked");
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  EXPECT_EQ(v.data["still_blocked"], false);
  EXPECT_EQ(v.data["handler_kept"], false);
}

INSTANTIATE_TEST_SUITE_P(Strategies, Supervised,
                         testing::Values("ptrace:poke+xol-vma", "ptrace:stop-world+xol-vma",
                                         "ptrace:poke+in-place"),
                         test_name);

} // namespace proberace
