// The hit path: trap, find the site, count, call the hit handler, step. All of it is signal-safe: it
// allocates nothing but a thread's record at its first hit, takes no lock, calls nothing in libc, and writes
// only its own thread's cache lines.
#include "harness/base/failure.h"
#include "harness/schedule/point.h"
#include "harness/trap/iretq_exit.h"
#include "harness/trap/quiescence.h"
#include "harness/trap/signal_context.h"
#include "harness/trap/signal_session.h"

#include <sys/syscall.h>

namespace proberace {

namespace {

std::atomic<SignalSession*> the_session{nullptr};

enum class Verdict { Ours, LostRace, Foreign };

struct Found {
  Verdict verdict;
  const SiteRecord* site;
};

// Our int3 is in memory only while its record is live, and records never leave the table. So a trap at a live
// record is ours, and a trap without a record is the program's own, be it int3 or the two-byte int 3 (H70).
// At a dead record there are two cases. If no int3 is there any more, the thread lost the race to a removal.
// An int3 there is the program's own, unless the record changed while we looked (H10, H18).
Found classify(const SiteTable& table, Address at) {
  for (;;) {
    const SiteRecord* const site = table.find(at);
    if (site == nullptr)
      return {Verdict::Foreign, nullptr};
    const std::uint64_t state = site->state();
    if (SiteRecord::is_live(state))
      return {Verdict::Ours, site};
    std::uint8_t byte = 0;
    schedule::point("trap.dead", at);
    const bool readable = read_memory(at, {&byte, 1});
    if (!readable || byte != kInt3)
      return {Verdict::LostRace, nullptr};
    if (table.find(at) == site && site->state() == state)
      return {Verdict::Foreign, nullptr};
  }
}

// True if the trap was ours.
bool on_breakpoint(const SignalSession& session, SignalContext& context, ThreadRecord& thread, bool nested) {
  // int3 is one byte, and traps after it (SDM vol. 3A, 6.15, #BP).
  const Address at = context.pc() - 1;
  const Found found = classify(session.table, at);
  if (found.verdict == Verdict::Foreign)
    return false;
  context.set_pc(at);
  if (found.verdict == Verdict::LostRace) {
    context.took(Path::LostRace);
    return true;
  }
  schedule::point("trap.found", at);
  count_one(thread.hits[found.site->index()]);
  context.took(Path::Breakpoint);
  if (session.handler != nullptr && !nested) {
    Hit hit{found.site->displaced().site, context};
    session.handler(hit, session.handler_argument);
    if (context.pc() != at) {
      context.took(Path::Redirected);
      return true;
    }
  }
  context.at_site(*found.site);
  session.stepper.begin(context, found.site->displaced());
  return true;
}

bool on_debug_trap(const SignalSession& session, SignalContext& context, ThreadRecord& thread) {
  const StepInProgress* const step = thread.innermost_step();
  if (step == nullptr)
    return false;
  if (session.stepper.finish(context, step->site->displaced(), step->site->live()) != Stepped::Done)
    return true;
  // The program had set the trap flag: the trap is its own, too.
  const bool also_the_programs = step->target_stepped_itself;
  thread.close_step();
  return !also_the_programs;
}

// True if the trap was at the stop behind the copy that is stepped: the step is done, and its debug trap
// never came.
bool on_stop(const SignalSession& session, SignalContext& context, ThreadRecord& thread) {
  const Address at = context.pc() - 1;
  const StepInProgress* const step = thread.innermost_step();
  const StepPlan* const plan = step != nullptr ? step->site->displaced().plan.get() : nullptr;
  if (plan == nullptr || plan->stop() != at)
    return false;
  context.set_pc(at);
  // The program's own debug trap would have been swallowed without a probe, too.
  (void)on_debug_trap(session, context, thread);
  return true;
}

constexpr greg_t kAlignmentCheck = 0x40000; // RFLAGS.AC, SDM vol. 1, 3.4.3.3

// Both ways out begin alike. True if the thread may continue without the kernel's help: no signal was raised
// and no trap is passed on.
[[gnu::always_inline]] inline bool handle(int signo, siginfo_t* info, ucontext_t& raw_context) {
  if ((raw_context.uc_mcontext.gregs[REG_EFL] & kAlignmentCheck) != 0)
    clear_alignment_check();
  // Pairs with install.
  SignalSession* const session = the_session.load(std::memory_order_acquire);
  ThreadRecord& thread = session->threads.mine();
  SignalContext context(raw_context, thread);
  bool passed_on = false;
  schedule::point(info->si_code == SI_KERNEL ? "trap.taken" : "step.taken", context.pc());
  {
    const Passage passage(thread);
    schedule::point("trap.inside", context.pc());
    // si_code: arch/x86/kernel/traps.c, do_int3_user (SI_KERNEL) and send_sigtrap (TRAP_TRACE).
    const bool ours =
        info->si_code == SI_KERNEL
            ? on_breakpoint(*session, context, thread, passage.nested()) || on_stop(*session, context, thread)
            : info->si_code == TRAP_TRACE && on_debug_trap(*session, context, thread);
    passed_on = !ours;
    if (passed_on)
      context.took(Path::ForeignTrap);
  }
  schedule::point("trap.leave", context.pc());
  if (!passed_on)
    return !context.raised();
  pass_on(session->previous, signo, info, &raw_context);
  return false;
}

} // namespace

// Not in the unnamed namespace: these names are looked for in the disassembly.
void proberace_on_sigtrap(int signo, siginfo_t* info, void* raw_context) {
  // This way out is sigreturn in any case.
  (void)handle(signo, info, *static_cast<ucontext_t*>(raw_context));
}

bool proberace_handle_for_iretq(int signo, siginfo_t* info, void* raw_context) {
  return handle(signo, info, *static_cast<ucontext_t*>(raw_context));
}

Status take_sigtrap(const SignalSession& session) {
  // By sigreturn, other signals wait until the handler is done, so that none lands between the trap and the
  // count (H76). SIGTRAP itself does not wait: a hit handler may execute probed code. By iretq, the kernel
  // must have nothing to undo, so no signal waits.
  const auto old = session.way_out == WayOut::Sigreturn
                       ? install_signal_action(SIGTRAP, &proberace_on_sigtrap, SA_NODEFER,
                                               kAllSignals & ~signal_bit(SIGTRAP))
                       : install_signal_action(SIGTRAP, &proberace_on_sigtrap_iretq, SA_NODEFER, 0);
  if (!old)
    return std::unexpected(system_error("cannot install a SIGTRAP handler", old.error()));
  return {};
}

Status install_signal_session(SignalSession& session) {
  SignalSession* none = nullptr;
  // Pairs with the handler.
  if (!the_session.compare_exchange_strong(none, &session, std::memory_order_acq_rel))
    return failure(ErrorKind::AlreadyOpen, "another prober holds this process' SIGTRAP; close it first");
  session.previous = current_signal_action(SIGTRAP);
  const Status taken = take_sigtrap(session);
  if (!taken)
    end_signal_session();
  return taken;
}

bool passes_traps_on_to(SignalHandler handler) noexcept {
  // Pairs with install.
  const SignalSession* const session = the_session.load(std::memory_order_acquire);
  const SignalHandler now = current_signal_action(SIGTRAP).handler;
  return session != nullptr && session->previous.handler == handler &&
         (now == &proberace_on_sigtrap || now == &proberace_on_sigtrap_iretq);
}

void restore_sigtrap(const SignalSession& session) {
  restore_signal_action(SIGTRAP, session.previous);
}

void end_signal_session() {
  // Pairs with the handler.
  the_session.store(nullptr, std::memory_order_release);
}

} // namespace proberace
