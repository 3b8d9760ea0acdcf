#include "harness/ptrace/trap_stops.h"

#include "harness/base/signal_action.h"
#include "harness/probe/registry.h"
#include "harness/probe/roles.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/ptrace_context.h"

#include <unistd.h>

namespace proberace {

TrapStops::TrapStops(Tracees& tracees, const TracedMemory& memory, TracedSlots& slots, TracedSites& sites,
                     EntryStop& entry, InjectedCalls& calls, Stepper* stepper)
    : tracees_(tracees), memory_(memory), slots_(slots), sites_(sites), entry_(entry), calls_(calls),
      stepper_(stepper), out_of_line_(make_stepper(holder_of(Role::OutOfLineStepper))) {}

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
  if (tracee.stepping == nullptr)
    return pass_on(tracee, SIGTRAP);
  tracees_.resume(tracee, SIGTRAP);
}

bool TrapStops::is_the_programs_own(Tracee& tracee) {
  siginfo_t info{};
  PtraceContext context(tracee, memory_, sites_);
  if (tracee.stepping != nullptr || tracee.held_signal ||
      trace_request(PTRACE_GETSIGINFO, tracee.thread, 0, &info) != 0 || !context.fetch() ||
      slots_.contains(context.pc()) || slots_.contains(context.pc() - 1))
    return false;
  return info.si_code != SI_KERNEL || is_foreign(context.pc() - 1);
}

// An int3 without a record is the program's own, and so is the two-byte int 3 (H70). At a dead record there are two cases:
// an int3 that is still there is the program's own; if none is, the thread lost the race to a removal (H10).
bool TrapStops::is_foreign(Address at) const {
  const TracedSite* const site = sites_.at(at);
  return site == nullptr || (!site->live && memory_.byte_is(at, kInt3));
}

// True if the trap was ours.
bool TrapStops::on_breakpoint(Tracee& tracee) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return true;
  if (entry_.on_breakpoint(tracee, context))
    return true;
  // int3 is one byte, and traps after it (SDM vol. 3A, 6.15, #BP).
  const Address at = context.pc() - 1;
  if (is_foreign(at))
    return false;
  TracedSite* const site = sites_.at(at);
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
  tracee.out_of_line = false;
  if (context.raised()) {
    const pid_t thread = tracee.thread;
    const bool begun = begin_out_of_line(tracee, *site, context);
    if (tracees_.find(thread) == nullptr)
      return true; // killed meanwhile
    tracee.out_of_line = begun;
    if (!begun) { // a page that is not there yet is then made by the access
      context.drop();
      context.set_pc(at);
      context.access_what_is_not_there();
      stepper_->begin(context, site->displaced);
    }
  }
  if (context.stepping())
    tracee.stepping = site;
  go_on(tracee, context);
  return true;
}

// Drops what the stepper has done so far, which is nothing that the program can see, and begins anew. False, and nothing
// is dropped, if the instruction cannot be executed out of line.
bool TrapStops::begin_out_of_line(Tracee& tracee, TracedSite& site, PtraceContext& context) {
  if (out_of_line_ == nullptr)
    return false;
  if (!site.out_of_line) {
    constexpr Abilities kAbilities{.atomic_access = false, .on_the_thread = false};
    const pid_t thread = tracee.thread;
    calls_.by(&tracee);
    auto plan = out_of_line_->plan(site.displaced.instruction, slots_, kAbilities);
    calls_.by(nullptr);
    if (!plan || tracees_.find(thread) == nullptr)
      return false;
    site.out_of_line = Displaced{site.displaced.site, site.displaced.instruction, std::move(*plan)};
  }
  context.drop();
  context.set_pc(site.displaced.site.address);
  out_of_line_->begin(context, *site.out_of_line);
  return true;
}

Stepper& TrapStops::stepper_of(const Tracee& tracee) const {
  return tracee.out_of_line ? *out_of_line_ : *stepper_;
}

// Precondition: a step is under way.
const Displaced& TrapStops::displaced_of(const Tracee& tracee) {
  return tracee.out_of_line ? *tracee.stepping->out_of_line : tracee.stepping->displaced;
}

// True if the thread stands behind the copy that it steps, whose debug trap never came (StepPlan::stop). Its
// PC is then set back onto the stop.
bool TrapStops::stands_at_stop(Tracee& tracee) {
  const StepPlan* const plan = displaced_of(tracee).plan.get();
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
  if (stepper_of(tracee).finish(context, displaced_of(tracee), site.live) == Stepped::Again) {
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

// Null, too, for the slot of a plan that does not state it. After an exec the records are there still, but the
// slots are not.
TracedSite* TrapStops::in_slot(Address pc) const noexcept {
  return slots_.contains(pc) ? sites_.in_slot(pc) : nullptr;
}

void TrapStops::pass_on(Tracee& tracee, int signal) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return;
  siginfo_t info{};
  if (!slots_.contains(context.pc()) || trace_request(PTRACE_GETSIGINFO, tracee.thread, 0, &info) != 0)
    return tracees_.resume(tracee, signal);
  TracedSite* const site = in_slot(context.pc());
  if (site == nullptr || context.pc() != site->displaced.plan->jump_slot()) {
    if (info.si_code <= 0 || (signal_bit(signal) & kSynchronousSignals) == 0)
      tracee.held_signal = info; // if the rest of the slot faults, it comes after that
    if (!step_out(tracee))
      return;
    tracee.held_signal.reset();
    deliver(tracee, info);
    return;
  }
  const Address at = site->displaced.site.address;
  context.set_pc(at);
  context.commit();
  // A debug trap there is the program's own step over part of a repeated instruction.
  const bool fault = info.si_code > 0 && signal != SIGTRAP && (signal_bit(signal) & kSynchronousSignals) != 0;
  if (fault && in_slot(address_of(info.si_addr)) == site) {
    info.si_addr = bytes_at(at); // SIGILL and SIGFPE carry the PC
    trace_request(PTRACE_SETSIGINFO, tracee.thread, 0, &info);
  } else if (!fault && site->live) {
    sites_.uncount(*site, tracee.thread);
  }
  tracees_.resume(tracee, signal);
}

bool TrapStops::stands_in_slot(Tracee& tracee) {
  PtraceContext context(tracee, memory_, sites_);
  return context.fetch() && slots_.contains(context.pc());
}

bool TrapStops::out_of_slot(Tracee& tracee) {
  PtraceContext context(tracee, memory_, sites_);
  if (!context.fetch())
    return true;
  if (!slots_.contains(context.pc()))
    return true;
  const TracedSite* const site = in_slot(context.pc());
  if (site != nullptr && context.pc() == site->displaced.plan->jump_slot()) {
    context.set_pc(site->displaced.site.address);
    context.commit();
    return true;
  }
  if (step_out(tracee))
    tracees_.resume(tracee);
  return false;
}

// Steps a thread, with signals held back, until it has left its slot. A slot's code is a few instructions, then a jump.
// False if the thread needs nothing more: it has ended, is about to, or was resumed with the fault of an instruction.
bool TrapStops::step_out(Tracee& tracee) {
  const pid_t thread = tracee.thread;
  std::uint64_t mask = 0;
  trace_request(PTRACE_GETSIGMASK, thread, sizeof mask, &mask);
  std::uint64_t held = mask | (kAllSignals & ~kSynchronousSignals);
  trace_request(PTRACE_SETSIGMASK, thread, sizeof held, &held);
  std::uint64_t sent = 0; // by others meanwhile: those that no mask holds back
  bool inside = true;
  for (int steps = 0; inside && steps < static_cast<int>(kMaxSlotBytes); ++steps) {
    trace_request(PTRACE_SINGLESTEP, thread);
    if (!tracees_.await_stop(thread))
      return false;
    const int status = tracees_.find(thread)->status;
    if (stop_event(status) == PTRACE_EVENT_EXIT)
      return false; // the supervisor handles it in its turn
    PtraceContext context(tracee, memory_, sites_);
    if (!context.fetch())
      return false;
    inside = slots_.contains(context.pc());
    const int signal = stop_signal(status);
    if (is_group_stop(status) || (stop_event(status) == 0 && signal == SIGSTOP))
      sent |= signal_bit(SIGSTOP);
    siginfo_t info{};
    if (stop_event(status) != 0 || signal == SIGSTOP ||
        trace_request(PTRACE_GETSIGINFO, thread, 0, &info) != 0)
      continue;
    const bool of_a_step = signal == SIGTRAP && info.si_code > 0;
    if (of_a_step)
      continue;
    if (info.si_code <= 0 || !inside) {
      sent |= signal_bit(signal);
      continue;
    }
    if (const TracedSite* const site = in_slot(context.pc()); site != nullptr) {
      const Address at = site->displaced.site.address;
      context.set_pc(at);
      context.commit();
      if (in_slot(address_of(info.si_addr)) == site)
        info.si_addr = bytes_at(at); // SIGILL and SIGFPE carry the PC
    }
    tracee.queued = false;
    trace_request(PTRACE_SETSIGMASK, thread, sizeof mask, &mask);
    deliver(tracee, info);
    return false;
  }
  tracee.queued = false;
  trace_request(PTRACE_SETSIGMASK, thread, sizeof mask, &mask);
  for (int signal = 1; signal <= 64; ++signal)
    if ((sent & signal_bit(signal)) != 0)
      raw_syscall(SYS_tgkill, tracee.process, thread, signal);
  return true;
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
