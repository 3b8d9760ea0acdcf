// Handles the SIGTRAP stops of traced threads: hits, the ends of steps, and the program's own traps.
//
// A supervisor cannot do everything for a thread: memory that only the thread reaches (memfd_secret, an undumpable
// program), pages that are made when the thread touches them (a stack that grows, userfaultfd, whose handler may be
// another traced thread). Where an access fails or its page is not there, the thread executes the instruction itself,
// out of line. So a fault is the thread's own, too, with its trap number, error code and address.
#pragma once

#include "harness/probe/stepper.h"
#include "harness/ptrace/entry_stop.h"
#include "harness/ptrace/injected_calls.h"
#include "harness/ptrace/ptrace_context.h"
#include "harness/ptrace/traced_slots.h"

namespace proberace {

class TrapStops {
public:
  // `stepper` may be null if no site is ever armed.
  TrapStops(Tracees& tracees, const TracedMemory& memory, TracedSlots& slots, TracedSites& sites,
            EntryStop& entry, InjectedCalls& calls, Stepper* stepper);

  // Precondition: the thread stands in a SIGTRAP stop. Lets it continue.
  void handle(Tracee& tracee);
  // Precondition: the thread stands in a SIGTRAP stop. True if the trap has nothing to do with probes.
  bool is_the_programs_own(Tracee& tracee);
  // Precondition: the thread is stopped in a step. Ends a step that has not executed: the thread stands at its
  // site again. False if it has executed.
  bool back_to_site(Tracee& tracee);
  // Precondition: the thread stands before the delivery of `info`, the fault of the instruction that it steps.
  // Lets it continue.
  void fault_in_step(Tracee& tracee, siginfo_t& info);

  // Precondition: the thread stands before the delivery of a signal, and is in no step. Lets it continue with the
  // signal. If it stands in a slot, the signal's frame shall not hold an address there, because nobody can tell when
  // it returns: the thread is at the site again, or has executed the instruction, when the signal is delivered.
  void pass_on(Tracee& tracee, int signal);
  bool stands_in_slot(Tracee& tracee);
  // Precondition: the thread is stopped, and in no step. False if it stood in the middle of a slot: then it has left it
  // and runs on. One at the beginning of a slot stands at the site again.
  bool out_of_slot(Tracee& tracee);

private:
  TracedSite* in_slot(Address pc) const noexcept;
  bool step_out(Tracee& tracee);
  bool is_foreign(Address at) const;
  bool on_breakpoint(Tracee& tracee);
  bool begin_out_of_line(Tracee& tracee, TracedSite& site, PtraceContext& context);
  Stepper& stepper_of(const Tracee& tracee) const;
  static const Displaced& displaced_of(const Tracee& tracee);
  bool stands_at_stop(Tracee& tracee);
  void on_step_done(Tracee& tracee, siginfo_t& info);
  void go_on(Tracee& tracee, PtraceContext& context);
  void deliver(Tracee& tracee, siginfo_t& info);

  Tracees& tracees_;
  const TracedMemory& memory_;
  TracedSlots& slots_;
  TracedSites& sites_;
  EntryStop& entry_;
  InjectedCalls& calls_;
  Stepper* const stepper_;
  const std::unique_ptr<Stepper> out_of_line_; // null if no plug-in has that role
};

} // namespace proberace
