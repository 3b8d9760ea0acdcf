// Handles the SIGTRAP stops of traced threads: hits, the ends of steps, and the program's own traps.
#pragma once

#include "harness/probe/stepper.h"
#include "harness/ptrace/entry_stop.h"
#include "harness/ptrace/ptrace_context.h"
#include "harness/ptrace/traced_slots.h"

namespace proberace {

class TrapStops {
public:
  // `stepper` may be null if no site is ever armed.
  TrapStops(Tracees& tracees, const TracedMemory& memory, const TracedSlots& slots, TracedSites& sites,
            EntryStop& entry, Stepper* stepper)
      : tracees_(tracees), memory_(memory), slots_(slots), sites_(sites), entry_(entry), stepper_(stepper) {}

  // Precondition: the thread stands in a SIGTRAP stop. Lets it continue.
  void handle(Tracee& tracee);
  // Precondition: the thread is stopped in a step. Ends a step that has not executed: the thread stands at its
  // site again. False if it has executed.
  bool back_to_site(Tracee& tracee);
  // Precondition: the thread stands before the delivery of `info`, the fault of the instruction that it steps.
  // Lets it continue.
  void fault_in_step(Tracee& tracee, siginfo_t& info);

private:
  bool on_breakpoint(Tracee& tracee);
  bool stands_at_stop(Tracee& tracee);
  void on_step_done(Tracee& tracee, siginfo_t& info);
  void go_on(Tracee& tracee, PtraceContext& context);
  void deliver(Tracee& tracee, siginfo_t& info);

  Tracees& tracees_;
  const TracedMemory& memory_;
  const TracedSlots& slots_;
  TracedSites& sites_;
  EntryStop& entry_;
  Stepper* const stepper_;
};

} // namespace proberace
