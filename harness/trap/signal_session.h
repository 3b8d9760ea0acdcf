// All data that a hit touches, from open to close. A process has one at a time, because SIGTRAP's action
// belongs to the whole process.
#pragma once

#include "harness/base/signal_action.h"
#include "harness/probe/prober.h"
#include "harness/trap/site_table.h"
#include "harness/trap/thread_record.h"

namespace proberace {

// How a thread leaves the SIGTRAP handler.
enum class WayOut { Sigreturn, Iretq };

struct SignalSession {
  SignalSession(Stepper& s, WayOut w) : stepper(s), way_out(w) {}

  Stepper& stepper;
  const WayOut way_out;
  SiteTable table{};
  ThreadRecords threads{};
  HitHandler handler = nullptr; // set while nothing is armed
  void* handler_argument = nullptr;
  SignalAction previous{}; // whose SIGTRAP it was, for traps that are not ours
};

// Installs the SIGTRAP handler for the session. AlreadyOpen if another session has it.
Status install_signal_session(SignalSession& session);
// True if SIGTRAP still belongs to the open session, and traps that are not its own go to `handler`.
bool passes_traps_on_to(SignalHandler handler) noexcept;
// Precondition: wait_for_departure succeeded. Puts the previous action back. Traps of the program's own may be on their
// way to the handler still, and need the session (H92).
void restore_sigtrap(const SignalSession& session);
// Installs the handler again, for a session that continues. `previous` stays as it was.
Status take_sigtrap(const SignalSession& session);
// Precondition: SIGTRAP is restored, and wait_for_departure succeeded again.
void end_signal_session();

} // namespace proberace
