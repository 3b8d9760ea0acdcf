#include "harness/ptrace/trap_stops.h"

#include "harness/base/signal_action.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/ptrace_context.h"

#include <unistd.h>

namespace proberace {

void TrapStops::handle(Tracee& tracee) {
  siginfo_t info{};
  if (trace_request(PTRACE_GETSIGINFO, tracee.thread, 0, &info) != 0)
    return; // killed meanwhile
  // si_code: arch/x86/kernel/traps.c, do_int3_user (SI_KERNEL) and send_sigtrap (TRAP_TRACE).
  if (info.si_code == SI_KERNEL && on_breakpoint(tracee))
    return;
  if (tracee.stepping != nullptr &&
      (info.si_code == TRAP_TRACE || (info.si_code == SI_KERNEL && stands_at_stop(tracee))))
    return on_step_done(tracee, info);
  if (tracee.stepping != nullptr && info.si_code <= 0) {
    tracee.held_signal = info;
    return tracees_.resume(tracee);
  }
  sites_.took(Path::ForeignTrap);
  tracees_.resume(tracee, SIGTRAP);
}

// True if the trap was ours. At a dead record there are two cases: if no int3 is there any more, the thread
// lost the race to a removal (H10); an int3 there is the program's own. An int3 without a record, and the
// two-byte int 3 (H70), are the program's own, too.
bool TrapStops::on_breakpoint(Tracee& tracee) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return true;
  if (entry_.on_breakpoint(tracee, context))
    return true;
  // int3 is one byte, and traps after it (SDM vol. 3A, 6.15, #BP).
  const Address at = context.pc() - 1;
  TracedSite* const site = sites_.at(at);
  if (site == nullptr || (!site->live && memory_.byte_is(at, kInt3)))
    return false;
  context.set_pc(at);
  if (!site->live) {
    context.took(Path::LostRace);
    context.commit();
    tracees_.resume(tracee);
    return true;
  }
  sites_.count(*site, tracee.thread);
  context.took(Path::Breakpoint);
  stepper_->begin(context, site->displaced);
  if (context.stepping())
    tracee.stepping = site;
  go_on(tracee, context);
  return true;
}

// True if the thread stands behind the copy that it steps, whose debug trap never came (StepPlan::stop). Its
// PC is then set back onto the stop.
bool TrapStops::stands_at_stop(Tracee& tracee) {
  const StepPlan* const plan = tracee.stepping->displaced.plan.get();
  PtraceContext context(tracee, memory_, sites_);
  if (plan == nullptr || !context.fetch() || plan->stop() == Address{} || context.pc() - 1 != plan->stop())
    return false;
  context.set_pc(plan->stop());
  context.commit();
  return true;
}

void TrapStops::on_step_done(Tracee& tracee, siginfo_t& info) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return;
  const TracedSite& site = *tracee.stepping;
  if (stepper_->finish(context, site.displaced, site.live) == Stepped::Again) {
    context.commit();
    return tracees_.resume(tracee);
  }
  tracee.stepping = nullptr;
  context.commit();
  // A trap of the program's own that was swallowed would have been swallowed without a probe, too.
  if (!tracee.steps_itself || info.si_code != TRAP_TRACE)
    return go_on(tracee, context);
  // The program's own step went over the instruction at its own place.
  info.si_addr = bytes_at(context.pc());
  deliver(tracee, info);
}

void TrapStops::go_on(Tracee& tracee, PtraceContext& context) {
  context.commit();
  if (context.raised()) {
    const HardwareFault& fault = *context.raised();
    std::uint64_t mask = 0;
    trace_request(PTRACE_GETSIGMASK, tracee.thread, sizeof mask, &mask);
    // The hardware's fault would have been forced, with its default action, on a program that blocks or
    // ignores it (force_sig_info): the program ends.
    if (((mask | ignored_signals(tracee.thread)) & signal_bit(fault.signal)) != 0) {
      ::kill(tracee.process, SIGKILL);
      return tracees_.resume(tracee);
    }
    siginfo_t info{};
    info.si_signo = fault.signal;
    info.si_code = fault.code;
    info.si_addr = bytes_at(fault.address);
    return deliver(tracee, info);
  }
  if (tracee.stepping != nullptr || !tracee.held_signal)
    return tracees_.resume(tracee);
  siginfo_t held = *tracee.held_signal;
  tracee.held_signal.reset();
  deliver(tracee, held);
}

// Precondition: the thread is in a stop before the delivery of a signal; it gets this one instead.
void TrapStops::deliver(Tracee& tracee, siginfo_t& info) {
  // Of two signals, one keeps its siginfo.
  if (tracee.held_signal) {
    raw_syscall(SYS_tgkill, tracee.process, tracee.thread, tracee.held_signal->si_signo);
    tracee.held_signal.reset();
  }
  trace_request(PTRACE_SETSIGINFO, tracee.thread, 0, &info);
  tracees_.resume(tracee, info.si_signo);
}

// Ends a step that has not executed: the thread stands at its site again. False if it has executed.
bool TrapStops::back_to_site(Tracee& tracee) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return false;
  const TracedSite& site = *tracee.stepping;
  const Address at = site.displaced.site.address;
  if (!slots_.contains(context.pc()) && context.pc() != at)
    return false;
  context.set_pc(at);
  context.commit();
  // The in-place stepper has put the original byte back.
  if (site.live)
    (void)memory_.write(at, {&kInt3, 1});
  trace_request(PTRACE_SETSIGMASK, tracee.thread, sizeof tracee.held_mask, &tracee.held_mask);
  tracee.stepping = nullptr;
  return true;
}

// The displaced instruction faulted. The program's handler sees the fault at the site (H32). If the program
// blocks the signal, the kernel has already unblocked it and taken its action away.
void TrapStops::fault_in_step(Tracee& tracee, siginfo_t& info) {
  tracee.held_mask &= ~signal_bit(info.si_signo);
  const Address site = tracee.stepping->displaced.site.address;
  const Address reported = address_of(info.si_addr);
  if (back_to_site(tracee) && slots_.contains(reported))
    // SIGILL and SIGFPE carry the PC.
    info.si_addr = bytes_at(site);
  deliver(tracee, info);
}

} // namespace proberace
