// The signal handlers and hit handlers of a scenario's threads. Private to this folder.
#pragma once

#include "harness/probe/prober.h"
#include "stress/code/mailbox.h"
#include "stress/scenario/act.h"

#include <csignal>
#include <sys/types.h>

namespace proberace {

class ScenarioRun;

struct Signals {
  // The request that a signal carries to its thread.
  enum class Sent : int { Execute, Doze, Leave, End };

  // Installs the process' handlers.
  static void take(const Promises& promised);
  // Changes the action of SIGTRAP in a way that nobody but sigaction(2) sees. Precondition: no prober is open.
  static void take_traps_otherwise() noexcept;
  // The calling thread is this one of the run's from now on.
  static void enlist(ScenarioRun& run, std::size_t thread) noexcept;
  static bool send(ScenarioRun& run, pid_t thread, Sent what, std::size_t body) noexcept;
  static void signal(ScenarioRun& run, const Act& act, Sent what) noexcept;
  // For another process: has a thread's handler execute the body. signal-safe.
  static bool interrupt(pid_t process, pid_t thread, std::size_t body) noexcept;
  // True of such a signal, in the process that sent it.
  static bool is_interruption(const siginfo_t& info) noexcept;
  // False where a handler that sleeps would break the strategy in a way that it does not promise to bear.
  static bool may_doze(const ScenarioRun& run) noexcept;
  // Some to each of the others, so that what follows meets threads on their way into handlers, and asleep in them. Free
  // runs only.
  static void burst(ScenarioRun& run, std::size_t thread) noexcept;
  // Executes a body in a way that lets a signal's handler leave the execution by siglongjmp. The execution
  // has not finished then, and may have been counted.
  static void execute_leavable(ScenarioRun& run, std::size_t thread, std::size_t body) noexcept;
  static void spawn(ScenarioRun& run, std::size_t thread, const Act& act, bool cancel);
  static void take_own_traps(ScenarioRun& run, std::size_t thread);
  static void step_itself(ScenarioRun& run, std::size_t thread, std::size_t body);
  // The next hit's handler executes this body, or changes that.
  enum class Change { None, Register, Pc };
  static void nest_next(std::size_t body) noexcept;
  static void nest_nothing() noexcept;
  static void change_next(Change what) noexcept;

  // While it lives, signals may find the thread in this code, too.
  class OwnCode {
  public:
    OwnCode(Address start, std::size_t bytes) noexcept;
    ~OwnCode();
    OwnCode(const OwnCode&) = delete;
    OwnCode& operator=(const OwnCode&) = delete;
  };

  // signal-safe. A HitHandler; the argument is the run.
  static void on_hit(Hit& hit, void* run);

private:
  static bool queue(pid_t process, pid_t thread, Sent what, std::size_t body, pid_t sender) noexcept;
  static void take_traps(const Promises& promised);
  static void change_what_was_hit(ScenarioRun& run, Hit& hit, std::size_t body) noexcept;
  static void look_at_interrupted_pc(ScenarioRun& run, std::size_t thread, Address pc);
  static void on_signal(int, siginfo_t* info, void* context);
  static void on_fault(int signo, siginfo_t* info, void* context);
  static void look_at_fault(ScenarioRun& run, bool at_site, Address pc, std::uint64_t mask);
  static std::uint32_t traps_of_steps(Address entry, Mailbox& mailbox) noexcept;
  static void on_own_trap(int signo, siginfo_t* info, void* context);
};

// Loads from here fault.
inline const void* const kFaultsHere = reinterpret_cast<const void*>(0x10);

} // namespace proberace
