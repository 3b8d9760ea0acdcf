// The program's own traps: its int3s, and its steps by the trap flag.
#include "stress/code/probed_code.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals_self.h"

#include <fmt/format.h>

namespace proberace {

using namespace signals;

namespace {

struct sigaction old_trap_action {}; // what a scenario replaced

// An int3 and its two-byte form, each noted before it is executed.
[[gnu::noinline]] void execute_int3s() {
  std::uintptr_t scratch = 0;
  asm volatile("leaq 1f(%%rip), %0\n\tmovq %0, %1\n\tint3\n1:"
               : "=&r"(scratch), "=m"(t_self.trap_returns)
               :
               : "memory");
  asm volatile("leaq 1f(%%rip), %0\n\tmovq %0, %1\n\t.byte 0xcd, 0x03\n1:"
               : "=&r"(scratch), "=m"(t_self.trap_returns)
               :
               : "memory");
  t_self.trap_returns = 0;
}

} // namespace

// Its own SIGTRAP handler may be interrupted by a signal whose handler executes probed code: SIGTRAP is blocked then,
// but for those that do not promise to bear it (H71).
void Signals::take_traps(const Promises& promised) {
  take_one(SIGTRAP, &Signals::on_own_trap, &old_trap_action,
           promised.has(Promise::SigtrapMayBeBlocked) ? 0 : SA_NODEFER);
}

void Signals::take_traps_otherwise() noexcept {
  struct sigaction action {};
  ::sigaction(SIGTRAP, nullptr, &action);
  action.sa_flags ^= SA_NOCLDSTOP; // which says nothing for this signal
  ::sigaction(SIGTRAP, &action, nullptr);
}

void Signals::on_own_trap(int signo, siginfo_t* info, void* context) {
  if (t_self.steps_itself) {
    ++t_self.traps;
    return;
  }
  if (t_self.run == nullptr || t_self.trap_returns == 0)
    return pass_on(old_trap_action, signo, info, context);
  if (value(interrupted_pc(context)) == t_self.trap_returns)
    ++t_self.traps;
}

// Each int3 of the program's own reaches its handler once, with the PC behind it (H31, H70).
void Signals::take_own_traps(ScenarioRun& run, std::size_t thread) {
  constexpr std::uint32_t kInt3s = 2;
  t_self.traps = 0;
  execute_int3s();
  if (t_self.traps != kInt3s)
    run.note(thread, property_name(BrokenProperty::OwnTrapsDelivered),
             fmt::format("thread {}: of {} int3s of the program's own its handler saw {}", thread, kInt3s,
                         t_self.traps));
}

// The traps that this thread's handler sees while it executes the function; none if the result is wrong.
[[gnu::noinline]] std::uint32_t Signals::traps_of_steps(Address entry, Mailbox& mailbox) noexcept {
  mailbox.ticket = mailbox.ticket + 1;
  const std::uint64_t ticket = mailbox.ticket;
  t_self.traps = 0;
  t_self.steps_itself = true;
  std::atomic_signal_fence(std::memory_order_seq_cst); // before the first trap
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
          : "memory", "cc");
  const std::uint64_t result = proberace_call_body(bytes_at(entry), ticket, ticket, &mailbox);
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
          : "memory", "cc");
  std::atomic_signal_fence(std::memory_order_seq_cst); // after the last
  t_self.steps_itself = false;
  return result == expected_result(ticket) && mailbox.strays == 0 ? t_self.traps : 0;
}

// H31: each instruction ends in a trap of the program's own, the probed one, too. Compared with a copy that nobody probes.
void Signals::step_itself(ScenarioRun& run, std::size_t thread, std::size_t body) {
  const PlacedBody& placed = run.text_.bodies()[body];
  // Each repetition traps, too: one that is stepped elsewhere has fewer.
  if (!run.prober_->promises().has(Promise::AnyFlags) || placed.body->has(BodyTrait::Repeats))
    return;
  const auto copy = Text::make({{Placement{placed.body, 0}}}, text_memory_for(*run.prober_));
  if (!copy)
    return;
  const OwnCode own(copy->start(), copy->bytes());
  Mailbox mailbox;
  const std::uint32_t bare = traps_of_steps(copy->bodies()[0].entry, mailbox);
  run.may_count(run.rows_.nested(thread), body);
  const std::uint32_t probed = traps_of_steps(placed.entry, mailbox);
  // A copy that ends in a jump has one more.
  if (probed < bare || (probed != bare && run.prober_->promises().has(Promise::SignalsSeeOriginalPc)))
    run.note(thread, property_name(BrokenProperty::OwnTrapsDelivered),
             fmt::format("thread {}: stepping itself over site {} it saw {} traps, and {} without a probe",
                         thread, run.name_of(body), probed, bare));
}

} // namespace proberace
