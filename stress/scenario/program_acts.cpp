// What the threads of a program do, one act after the other, and what their signal handlers do meanwhile.
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/code/probed_code.h"
#include "stress/scenario/program_properties.h"
#include "stress/scenario/program_run.h"

#include <algorithm>
#include <csetjmp>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

constexpr std::size_t kNoSite = SIZE_MAX;
constexpr std::uint64_t kChange = 0x1234'5678'9abc; // what a hit handler adds to a register
const void* const kFaults = reinterpret_cast<const void*>(0x10);
constexpr std::ptrdiff_t kFaultingBytes = 3; // of the instruction that loads from there

enum class Change { None, Register, Pc };

// A thread of the program, or one that such a thread has started.
struct Self {
  ProgramRun* run = nullptr;
  std::size_t thread = 0;
  std::size_t nested = kNoSite;    // what the next hit's handler executes
  Change change = Change::None;    // what the next hit's handler changes
  sigjmp_buf* way_out = nullptr;   // out of the execution, while one may be left
  std::uintptr_t trap_returns = 0; // behind the int3 that is executed next
  std::uint32_t traps = 0;         // that the program's own handler was given, where they were
};
// Initial-exec: reached from signal handlers.
[[gnu::tls_model("initial-exec")]] constinit thread_local Self t_self;

// Of the process: what was there before a program took them.
struct sigaction old_fault_action {
}, old_trap_action{};

int program_signal() {
  return SIGRTMIN;
}

void take(int signo, void (*handler)(int, siginfo_t*, void*), struct sigaction* old) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(signo, &action, old);
}

// What is none of ours is whoever's it was before, which does not return.
void pass_on(const struct sigaction& old, int signo, siginfo_t* info, void* context) {
  if ((old.sa_flags & SA_SIGINFO) != 0)
    old.sa_sigaction(signo, info, context);
  else
    ::signal(signo, SIG_DFL); // it comes again
}

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

bool ProgramRun::some_act_leaves() const {
  return std::ranges::any_of(program_.threads, [](const std::vector<Act>& acts) {
    return std::ranges::any_of(
        acts, [](const Act& act) { return act.kind == ActKind::Jump || act.kind == ActKind::Fault; });
  });
}

void ProgramRun::take_signals() {
  take(program_signal(), &ProgramRun::on_signal, nullptr);
  take(SIGSEGV, &ProgramRun::on_fault, &old_fault_action);
  take(SIGTRAP, &ProgramRun::on_own_trap, &old_trap_action);
}

void ProgramRun::enlist(std::size_t thread) noexcept {
  t_self = Self{this, thread};
  scratch_.threads[thread] = current_thread();
  arena_.points[thread].thread.store(current_thread(), std::memory_order_relaxed); // evidence only
}

bool ProgramRun::promised(ActKind kind) const {
  const Promises promises = prober_->promises();
  switch (kind) {
  case ActKind::Nest: return tickets_ && promises.has(Promise::Reentrant);
  case ActKind::Change:
  case ActKind::Skip: return tickets_ && promises.has(Promise::ChangesTakeEffect);
  case ActKind::Trap: return promises.has(Promise::OwnTrapsDelivered);
  case ActKind::Vfork: return promises.has(Promise::VforkSafe);
  case ActKind::Jump: return promises.has(Promise::HandlersMayJump);
  case ActKind::Cancel: return promises.has(Promise::ThreadsMayEnd);
  case ActKind::Fault: return promises.has(Promise::FaultsSeeOriginalPc);
  default: return true;
  }
}

void ProgramRun::apply(std::size_t thread, const Act& act) noexcept {
  static constexpr std::array<const char*, kActKinds> kSteps{
      "execute", "insert",  "remove",  "signal", "fork",  "spawn",  "exec",  "mprotect",
      "execute", "execute", "execute", "int3s",  "vfork", "signal", "spawn", "execute"};
  conductor_.step(kSteps[static_cast<std::size_t>(act.kind)], sites_[act.sites[0]].address);
  if (act.kind != ActKind::Nest && !promised(act.kind)) // a nested execution is a plain one then
    return;
  ++deeds_[thread].acts[static_cast<std::size_t>(act.kind)];
  perform_act(thread, act);
}

void ProgramRun::perform_act(std::size_t thread, const Act& act) noexcept {
  const std::size_t site = act.sites[0];
  switch (act.kind) {
  case ActKind::Execute: execute_own(thread, site); break;
  case ActKind::Insert: operate(thread, act.kind, act.sites); break;
  case ActKind::Remove:
    operate(thread, act.kind, act.sites);
    for (const std::size_t s : act.sites)
      look_whether_still_clear(thread, s);
    break;
  case ActKind::Signal: signal(act.thread, Sent::Execute, site); break;
  case ActKind::Jump: signal(act.thread, Sent::Leave, site); break;
  case ActKind::Fork: fork_and_execute(thread, site, false); break;
  case ActKind::Exec: fork_and_execute(thread, site, true); break;
  case ActKind::Vfork: vfork_and_execute(thread, site); break;
  case ActKind::Spawn: spawn_and_execute(thread, site, false); break;
  case ActKind::Cancel: spawn_and_execute(thread, site, true); break;
  case ActKind::Protect: protect(thread, site); break;
  case ActKind::Trap: take_own_traps(thread); break;
  case ActKind::Fault: execute_faulting(thread, site); break;
  case ActKind::Nest:
    if (promised(act.kind))
      t_self.nested = act.sites[1];
    execute_own(thread, site);
    t_self.nested = kNoSite; // it was not hit
    break;
  case ActKind::Change:
  case ActKind::Skip:
    t_self.change = act.kind == ActKind::Change ? Change::Register : Change::Pc;
    execute_own(thread, site);
    t_self.change = Change::None;
    break;
  }
}

// Signal handlers may leave it. It has not finished then: it may have been counted.
void ProgramRun::execute_own(std::size_t thread, std::size_t site) noexcept {
  if (!leaves_)
    return execute(thread, site);
  sigjmp_buf out;
  if (sigsetjmp(out, 1) == 0) {
    t_self.way_out = &out;
    execute(thread, site);
  }
  t_self.way_out = nullptr;
}

void ProgramRun::execute_faulting(std::size_t thread, std::size_t site) noexcept {
  workers_[thread].load_from(kFaults);
  execute_own(thread, site);
  workers_[thread].load_from(&kNothingToAdd);
}

// Registers and the PC as hit handlers may change them (prober.h). A site that uses the stack has what it
// needs there: it cannot be skipped.
void ProgramRun::change_what_was_hit(Hit& hit) noexcept {
  const Change change = std::exchange(t_self.change, Change::None);
  Mailbox* const mailbox = mailbox_of(hit);
  if (change == Change::None || mailbox == nullptr)
    return;
  if (change == Change::Register) {
    hit.context.set(Register::R8, hit.context.get(Register::R8) + kChange);
    mailbox->changed = mailbox->changed + kChange;
    deeds_[t_self.thread].changed = deeds_[t_self.thread].changed + 1;
    return;
  }
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (sites_[s].address == hit.site.address && !text_.bodies()[s].body->has(BodyTrait::StackPointer)) {
      hit.context.set_pc(address_of(reinterpret_cast<const void*>(&proberace_skip_body)));
      mailbox->skipped = mailbox->skipped + 1;
      deeds_[t_self.thread].skipped = deeds_[t_self.thread].skipped + 1;
    }
}

// signal-safe. When remove has returned, nobody is in the hit handler for the site or comes to it: its owner
// may let what it needs go (prober.h, set_handler).
void ProgramRun::on_hit(Hit& hit, void* raw) {
  auto& run = *static_cast<ProgramRun*>(raw);
  stamp_ticket(hit, nullptr);
  if (const std::size_t nested = std::exchange(t_self.nested, kNoSite); nested != kNoSite) {
    run.conductor_.step("nested", run.sites_[nested].address);
    run.execute(ProgramScratch::nested_row(t_self.thread), nested);
  }
  run.change_what_was_hit(hit);
  for (std::size_t s = 0; s < run.sites_.size(); ++s)
    if (run.sites_[s].address == hit.site.address) {
      const std::uint64_t word = run.scratch_.states[s].read();
      if (SiteState::quiet(word) && !SiteState::armed(word))
        run.handled_after_removal_.store(true, std::memory_order_relaxed); // read when the threads have ended
    }
}

// sigqueue(3) to one thread: a real-time signal is queued, so that none gets lost.
void ProgramRun::send(pid_t thread, Sent what, std::size_t site) noexcept {
  siginfo_t info{};
  info.si_signo = program_signal();
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = static_cast<int>(site << 8) | static_cast<int>(what);
  raw_syscall(SYS_rt_tgsigqueueinfo, raw_syscall(SYS_getpid), thread, info.si_signo, &info);
  conductor_.signal_sent(thread);
}

void ProgramRun::signal(std::size_t to, Sent what, std::size_t site) noexcept {
  ++scratch_.signals_sent[to];
  send(scratch_.threads[to], what, site);
}

void ProgramRun::on_signal(int, siginfo_t* info, void* context) {
  const Self self = t_self;
  if (self.run == nullptr || info->si_code != SI_QUEUE)
    return;
  self.run->look_at_interrupted_pc(self.thread, interrupted_pc(context));
  const auto what = static_cast<Sent>(info->si_value.sival_int & 0xff);
  const auto site = static_cast<std::size_t>(info->si_value.sival_int) >> 8;
  if (what != Sent::End) {
    self.run->conductor_.step("handler", self.run->sites_[site].address);
    self.run->execute(ProgramScratch::handler_row(self.thread), site);
    ++self.run->scratch_.signals_handled[self.thread];
  }
  if (what == Sent::Execute || t_self.way_out == nullptr)
    return;
  Deeds& deeds = self.run->deeds_[self.thread];
  deeds.left = deeds.left + 1;
  ::siglongjmp(*t_self.way_out, 1);
}

void ProgramRun::on_fault(int signo, siginfo_t* info, void* context) {
  ProgramRun* const run = t_self.run;
  if (run == nullptr || info->si_addr != kFaults || t_self.way_out == nullptr)
    return pass_on(old_fault_action, signo, info, context);
  Deeds& deeds = run->deeds_[t_self.thread];
  deeds.faults = deeds.faults + 1;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Address pc = interrupted_pc(context);
  if (std::ranges::find(run->sites_, pc, &Site::address) == run->sites_.end()) {
    run->note(
        t_self.thread, broken_property::kFaultsSeeOriginalPc,
        fmt::format("thread {}: the handler of a probed load's fault saw the PC {:#x}, where no site is",
                    t_self.thread, value(pc)));
    ::siglongjmp(*t_self.way_out, 1);
  }
  registers[REG_RAX] = 0; // what the load would have read, had it not faulted
  registers[REG_RIP] += kFaultingBytes;
}

// It must lie in code that was there before any probe, if the strategy says so: not in a slot.
void ProgramRun::look_at_interrupted_pc(std::size_t thread, Address pc) {
  if (!prober_->promises().has(Promise::SignalsSeeOriginalPc) ||
      std::ranges::any_of(before_.executable, [&](const Mapping& m) { return m.contains(pc); }))
    return;
  note(thread, broken_property::kSignalsSeeOriginalPc,
       fmt::format("thread {}: a signal's handler saw the PC {:#x}, which is no code of the program's",
                   thread, value(pc)));
}

void ProgramRun::on_own_trap(int signo, siginfo_t* info, void* context) {
  if (t_self.run == nullptr || t_self.trap_returns == 0)
    return pass_on(old_trap_action, signo, info, context);
  if (value(interrupted_pc(context)) == t_self.trap_returns)
    ++t_self.traps;
}

// Each int3 of the program's own reaches its handler once, with the PC behind it (H31, H70).
void ProgramRun::take_own_traps(std::size_t thread) {
  constexpr std::uint32_t kInt3s = 2;
  t_self.traps = 0;
  execute_int3s();
  if (t_self.traps != kInt3s)
    note(thread, broken_property::kOwnTrapsDelivered,
         fmt::format("thread {}: of {} int3s of the program's own its handler saw {}", thread, kInt3s,
                     t_self.traps));
}

// A thread that comes and goes. Cancelled, it ends wherever a signal finds it (H23): by a jump to its end, as
// glibc's own cancellation does once its unwinder comes upon code that it knows nothing of.
void ProgramRun::spawn_and_execute(std::size_t thread, std::size_t site, bool cancel) {
  const std::size_t number = threads() + thread;
  std::atomic<pid_t> started{0};
  std::atomic<bool> there{false};
  std::thread spawned([&] {
    t_self = Self{this, thread};
    sigjmp_buf out;
    if (sigsetjmp(out, 1) == 0) {
      t_self.way_out = cancel ? &out : nullptr;
      started.store(current_thread(), std::memory_order_relaxed);
      there.store(true, std::memory_order_release); // pairs with the starter's wait
      conductor_.come(number);
      execute(ProgramScratch::spawned_row(thread), site);
    }
    t_self.way_out = nullptr;
    started.store(0, std::memory_order_relaxed); // too late for a signal
    conductor_.go(thread);
  });
  while (!there.load(std::memory_order_acquire)) // pairs with the thread's store
    std::this_thread::yield();
  conductor_.await(number);
  if (cancel) {
    conductor_.step("cancel", sites_[site].address);
    if (const pid_t still = started.load(std::memory_order_relaxed); still != 0)
      send(still, Sent::End, site);
  }
  conductor_.wait_until_gone(number);
  spawned.join();
}

} // namespace proberace
