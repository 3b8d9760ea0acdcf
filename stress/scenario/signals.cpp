#include "stress/scenario/signals.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/code/probed_code.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/fresh_thread.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals_self.h"

#include <algorithm>
#include <csetjmp>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace proberace {

using namespace signals;

namespace {

constexpr std::uint64_t kChange = 0x1234'5678'9abc; // what a hit handler adds to a register
constexpr std::ptrdiff_t kFaultingBytes = 3;        // of the instruction that loads from kFaultsHere

struct sigaction old_fault_action {}; // what a scenario replaced

std::uint64_t first_word(const sigset_t& mask) noexcept {
  return mask.__val[0];
}

std::uint64_t own_mask() noexcept {
  std::uint64_t mask = 0;
  raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &mask, sizeof mask);
  return mask;
}

int scenario_signal() {
  return SIGRTMIN;
}

// A site that uses the stack needs the rest of its body to put it in order, and one that leads to itself is to be hit
// again.
bool may_be_skipped(const Body& body) noexcept {
  return !body.has(BodyTrait::StackPointer) && body.passes == 1;
}

// Longer than a removal waits before it gives lent memory back (signal_prober.cpp, kPatience).
void doze() noexcept {
  constexpr timespec kDoze{0, 30'000'000};
  raw_syscall(SYS_nanosleep, &kDoze, nullptr);
}

const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;

// A compiler may vectorise any handler. ymm0 to ymm15 change to their full width.
void use_vector_registers() noexcept {
  if (has_avx2)
    asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                 "vpcmpeqd %%ymm\\n, %%ymm\\n, %%ymm\\n\n\t"
                 ".endr\n\t"
                 "vzeroupper" ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

} // namespace

namespace signals {

[[gnu::tls_model("initial-exec")]] constinit thread_local Self t_self;

void take_one(int signo, void (*handler)(int, siginfo_t*, void*), struct sigaction* old, int flags) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART | flags;
  ::sigaction(signo, &action, old);
}

void pass_on(const struct sigaction& old, int signo, siginfo_t* info, void* context) {
  if ((old.sa_flags & SA_SIGINFO) != 0)
    old.sa_sigaction(signo, info, context);
  else
    ::signal(signo, SIG_DFL); // the instruction is executed again, and the signal ends the process
}

} // namespace signals

void Signals::take(const Promises& promised) {
  take_one(scenario_signal(), &Signals::on_signal, nullptr);
  take_one(SIGSEGV, &Signals::on_fault, &old_fault_action);
  take_traps(promised);
}

void Signals::enlist(ScenarioRun& run, std::size_t thread) noexcept {
  t_self = Self{&run, thread};
}

Signals::OwnCode::OwnCode(Address start, std::size_t bytes) noexcept {
  t_self.own_start = start;
  t_self.own_end = start + static_cast<std::ptrdiff_t>(bytes);
  std::atomic_signal_fence(std::memory_order_release); // before the code is executed
}
Signals::OwnCode::~OwnCode() {
  std::atomic_signal_fence(std::memory_order_acquire); // after it
  t_self.own_start = t_self.own_end = Address{};
}

void Signals::nest_next(std::size_t body) noexcept {
  t_self.nested = body;
}
void Signals::nest_nothing() noexcept {
  t_self.nested = kNoBody;
}
void Signals::change_next(Change what) noexcept {
  t_self.change = what;
}

void Signals::execute_leavable(ScenarioRun& run, std::size_t thread, std::size_t body) noexcept {
  sigjmp_buf out;
  if (sigsetjmp(out, 1) == 0) {
    t_self.way_out = &out;
    t_self.mask = own_mask();
    run.execute(run.rows_.own(thread), body);
  }
  t_self.way_out = nullptr;
}

// Registers and the PC as hit handlers may change them (prober.h).
void Signals::change_what_was_hit(ScenarioRun& run, Hit& hit, std::size_t body) noexcept {
  const Change change = std::exchange(t_self.change, Change::None);
  Mailbox* const mailbox = mailbox_of(hit);
  if (change == Change::None || mailbox == nullptr)
    return;
  ScenarioRun::Deeds& deeds = run.deeds_[t_self.thread];
  if (change == Change::Register) {
    hit.context.set(Register::R8, hit.context.get(Register::R8) + kChange);
    mailbox->changed = mailbox->changed + kChange;
    deeds.changed = deeds.changed + 1;
  } else if (body < run.sites_.size() && may_be_skipped(*run.text_.bodies()[body].body)) {
    hit.context.set_pc(address_of(reinterpret_cast<const void*>(&proberace_skip_body)));
    mailbox->skipped = mailbox->skipped + 1;
    deeds.skipped = deeds.skipped + 1;
  }
}

// When remove has returned, no thread is in the hit handler for the site or reaches it: its owner may free
// what the handler needs (prober.h, set_handler).
void Signals::on_hit(Hit& hit, void* raw) {
  auto& run = *static_cast<ScenarioRun*>(raw);
  const std::size_t body = run.site_index_.index_of(hit.site);
  if (RecordRing* const log = stamp_ticket(hit))
    log->append(RecordKind::Hit, body, hit.context.get(Register::R11));
  use_vector_registers();
  if (const std::size_t nested = std::exchange(t_self.nested, kNoBody); nested != kNoBody) {
    run.conductor_.step("nested", run.sites_[nested].address);
    run.execute(run.rows_.nested(t_self.thread), nested);
  }
  if (t_self.change != Change::None)
    change_what_was_hit(run, hit, body);
  if (body == run.sites_.size())
    return;
  const std::uint64_t word = run.scratch_.states[body].read();
  if (SiteState::quiet(word) && !SiteState::armed(word))
    run.handled_after_removal_.store(true, std::memory_order_relaxed); // read when the threads have ended
}

// sigqueue(3) to one thread: a real-time signal is queued, so that none gets lost.
bool Signals::queue(pid_t process, pid_t thread, Sent what, std::size_t body, pid_t sender) noexcept {
  siginfo_t info{};
  info.si_signo = scenario_signal();
  info.si_code = SI_QUEUE;
  info.si_pid = sender;
  info.si_value.sival_int = static_cast<int>(body << 8) | static_cast<int>(what);
  return raw_syscall(SYS_rt_tgsigqueueinfo, process, thread, info.si_signo, &info) == 0;
}

bool Signals::interrupt(pid_t process, pid_t thread, std::size_t body) noexcept {
  return queue(process, thread, Sent::Execute, body, static_cast<pid_t>(raw_syscall(SYS_getpid)));
}

bool Signals::is_interruption(const siginfo_t& info) noexcept {
  return info.si_signo == scenario_signal() && info.si_code == SI_QUEUE &&
         info.si_pid == static_cast<pid_t>(raw_syscall(SYS_getpid));
}

bool Signals::send(ScenarioRun& run, pid_t thread, Sent what, std::size_t body) noexcept {
  const bool queued = queue(static_cast<pid_t>(raw_syscall(SYS_getpid)), thread, what, body, 0);
  if (queued)
    run.conductor_.signal_sent(thread);
  return queued;
}

void Signals::signal(ScenarioRun& run, const Act& act, Sent what) noexcept {
  if (send(run, run.scratch_.threads[act.thread], what, act.bodies[0])) // else too many are queued
    std::atomic_ref(run.scratch_.signals_sent[act.thread]).fetch_add(1, std::memory_order_relaxed);
}

void Signals::burst(ScenarioRun& run, std::size_t thread) noexcept {
  constexpr int kEach = 4;
  if (run.controlled_)
    return;
  const bool executes = run.prober_->promises().has(Promise::Reentrant);
  const bool dozes = may_doze(run);
  // The first signal of every other thread sleeps. The process id decides which threads these are.
  const auto half = static_cast<std::size_t>(::getpid());
  Act act;
  act.bodies = {0};
  for (int n = 0; n < kEach; ++n)
    for (act.thread = 0; act.thread < run.threads(); ++act.thread) {
      const bool first_dozes = dozes && n == 0 && (act.thread + half) % 2 == 0;
      if (act.thread != thread && (first_dozes || executes))
        signal(run, act, first_dozes ? Sent::Doze : Sent::Execute);
    }
}

// A signal's frame may lie over stack-slot's copy (H24). stack-slot-nested, which states the same path, is left out with
// it.
bool Signals::may_doze(const ScenarioRun& run) noexcept {
  return !run.prober_->facts().paths.has(Path::StackSlot);
}

void Signals::on_signal(int, siginfo_t* info, void* context) {
  const Self self = t_self;
  if (self.run == nullptr || info->si_code != SI_QUEUE)
    return;
  ScenarioRun& run = *self.run;
  look_at_interrupted_pc(run, self.thread, interrupted_pc(context));
  const auto what = static_cast<Sent>(info->si_value.sival_int & 0xff);
  const auto body = static_cast<std::size_t>(info->si_value.sival_int) >> 8;
  const bool executes = what != Sent::Doze || run.prober_->promises().has(Promise::Reentrant);
  if (what == Sent::Doze)
    doze();
  if (what != Sent::End) {
    run.conductor_.step("handler", run.sites_[body].address);
    if (executes)
      run.execute(run.rows_.handler(self.thread), body);
    ++run.scratch_.signals_handled[self.thread];
  }
  if (what == Sent::Execute || what == Sent::Doze || t_self.way_out == nullptr)
    return;
  ScenarioRun::Deeds& deeds = run.deeds_[self.thread];
  deeds.left = deeds.left + 1;
  ::siglongjmp(*t_self.way_out, 1);
}

void Signals::on_fault(int signo, siginfo_t* info, void* context) {
  ScenarioRun* const run = t_self.run;
  if (run == nullptr || info->si_addr != kFaultsHere || t_self.way_out == nullptr)
    return pass_on(old_fault_action, signo, info, context);
  ScenarioRun::Deeds& deeds = run->deeds_[t_self.thread];
  deeds.faults = deeds.faults + 1;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Address pc = interrupted_pc(context);
  const bool at_site = std::ranges::find(run->sites_, pc, &Site::address) != run->sites_.end();
  if (run->prober_->promises().has(Promise::FaultsSeeOriginalPc)) {
    look_at_fault(*run, at_site, pc, first_word(static_cast<ucontext_t*>(context)->uc_sigmask));
  } else if (!at_site) {
    // Where the copy is: it is executed again, from an address that does not fault.
    run->workers_[run->rows_.own(t_self.thread)].load_from(&kNothingToAdd);
    registers[REG_RSI] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(&kNothingToAdd));
    return;
  }
  registers[REG_RAX] = 0; // what the load would have read, had it not faulted
  registers[REG_RIP] += kFaultingBytes;
}

void Signals::look_at_fault(ScenarioRun& run, bool at_site, Address pc, std::uint64_t mask) {
  if (mask != t_self.mask)
    run.note(
        t_self.thread, property_name(BrokenProperty::FaultMask),
        fmt::format("thread {}: the handler of a probed load's fault saw the signal mask {:#x}, not {:#x}",
                    t_self.thread, mask, t_self.mask));
  if (at_site)
    return;
  run.note(t_self.thread, property_name(BrokenProperty::FaultsSeeOriginalPc),
           fmt::format("thread {}: the handler of a probed load's fault saw the PC {:#x}, where no site is",
                       t_self.thread, value(pc)));
  ::siglongjmp(*t_self.way_out, 1);
}

// It must lie in code that was there before any probe, if the strategy says so: not in a slot.
void Signals::look_at_interrupted_pc(ScenarioRun& run, std::size_t thread, Address pc) {
  const bool own = t_self.own_start <= pc && pc < t_self.own_end;
  if (own || !run.prober_->promises().has(Promise::SignalsSeeOriginalPc) ||
      std::ranges::any_of(run.before_.mappings,
                          [&](const Mapping& m) { return m.executable && m.contains(pc); }))
    return;
  run.note(thread, property_name(BrokenProperty::SignalsSeeOriginalPc),
           fmt::format("thread {}: a signal's handler saw the PC {:#x}, which is no code of the program's",
                       thread, value(pc)));
}

// Cancelled, the thread ends wherever a signal finds it (H23): by a jump to its end, as glibc's own
// cancellation does once its unwinder reaches code that it knows nothing of.
void Signals::spawn(ScenarioRun& run, std::size_t thread, const Act& act, bool cancel) {
  const std::size_t number = run.threads() + thread;
  std::atomic<pid_t> started{0};
  std::atomic<bool> there{false};
  auto body_of_thread = [&] {
    t_self = Self{&run, thread};
    sigjmp_buf out;
    if (sigsetjmp(out, 1) == 0) {
      t_self.way_out = cancel ? &out : nullptr;
      started.store(current_thread(), std::memory_order_relaxed);
      // pairs with the starter's wait
      there.store(true, std::memory_order_release);
      run.conductor_.come(number);
      for (const std::size_t body : act.bodies)
        run.execute(run.rows_.spawned(thread), body);
    }
    t_self.way_out = nullptr;
    started.store(0, std::memory_order_relaxed); // too late for a signal
    run.conductor_.go(thread);
  };
  // Half of them on a stack that is mapped anew where an ended thread's lay.
  FreshThread spawned(body_of_thread, thread % 2 == 0);
  // pairs with the thread's store
  while (!there.load(std::memory_order_acquire))
    std::this_thread::yield();
  run.conductor_.await(number);
  if (cancel) {
    run.conductor_.step("cancel", run.sites_[act.bodies[0]].address);
    if (const pid_t still = started.load(std::memory_order_relaxed); still != 0)
      send(run, still, Sent::End, act.bodies[0]);
  }
  run.conductor_.wait_until_gone(number);
  spawned.join();
}

} // namespace proberace
