#include "harness/ptrace/supervisor.h"

#include "harness/base/failure.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/trace_request.h"
#include "harness/schedule/point.h"

#include <algorithm>
#include <chrono>
#include <linux/kcmp.h>
#include <thread>

namespace proberace {

namespace {

constexpr bool is_synchronous(int signal) noexcept {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGSYS;
}

} // namespace

Supervisor::Supervisor(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper)
    : armer_(std::move(armer)), stepper_(std::move(stepper)),
      calls_(tracees_, memory_, [this](Tracee& t) { handle(t); }), slots_(tracees_, memory_, calls_),
      code_(tracees_, memory_, calls_),
      armed_(tracees_, memory_, slots_, sites_, armer_.get(), stepper_.get()), entry_(tracees_, memory_),
      traps_(tracees_, memory_, slots_, sites_, entry_, calls_, stepper_.get()) {}

Status Supervisor::attach(pid_t process) {
  if (const Status seized = tracees_.seize_all(process); !seized)
    return seized;
  if (const Status opened = memory_.open(tracees_.process()); !opened)
    return opened;
  return armer_ ? armer_->open(code_) : Status{};
}

void Supervisor::serve() {
  at_entry_ = false;
  tracees_.note_all();
  while (Tracee* const tracee = tracees_.next())
    if (!waits_for_its_turn(*tracee))
      handle(*tracee);
}

void Supervisor::serve_granted() {
  for (Tracee* const tracee : tracees_.all())
    if (tracee->waits_for_its_turn && schedule::granted(tracee->thread))
      handle(*tracee);
}

// In a controlled run a trap is handled when it is its thread's turn.
bool Supervisor::waits_for_its_turn(Tracee& tracee) {
  const bool trap = stop_event(tracee.status) == 0 && stop_signal(tracee.status) == SIGTRAP;
  tracee.waits_for_its_turn =
      trap && schedule::stopped(tracee.thread, tracee.stepping != nullptr ? "ptrace.step" : "ptrace.trap");
  return tracee.waits_for_its_turn;
}

void Supervisor::handle(Tracee& tracee) {
  tracee.queued = false;
  if (tracee.waits_for_its_turn)
    schedule::withdrawn(tracee.thread); // unless its turn was granted
  tracee.waits_for_its_turn = false;
  const int signal = stop_signal(tracee.status);
  switch (stop_event(tracee.status)) {
  case PTRACE_EVENT_STOP: return on_event_stop(tracee);
  case PTRACE_EVENT_FORK: let_go_of_fork(tracee); break;
  case PTRACE_EVENT_VFORK: tracee.in_vfork = true; break;
  case PTRACE_EVENT_VFORK_DONE: tracee.in_vfork = false; break;
  case PTRACE_EVENT_EXEC: return on_exec(tracee);
  case PTRACE_EVENT_EXIT: tracee.leaving = true; break;
  case 0:
    if (signal == SIGTRAP)
      return traps_.handle(tracee);
    if (signal != kSyscallStop)
      return on_signal(tracee, signal);
    break;
  default: break; // PTRACE_EVENT_CLONE: the new thread stops by itself
  }
  tracees_.resume(tracee);
}

void Supervisor::on_event_stop(Tracee& tracee) {
  if (!tracee.introduced) {
    if (tracee.process != tracees_.process())
      return on_child(tracee);
    tracee.introduced = true;
    if (new_thread_)
      new_thread_(tracee.thread);
  }
  if (is_group_stop(tracee.status))
    return tracees_.listen(tracee);
  tracees_.resume(tracee);
}

bool Supervisor::shares_memory(pid_t process) {
  for (const Tracee* const t : tracees_.all())
    if (t->process == tracees_.process() && !t->leaving)
      return raw_syscall(SYS_kcmp, t->thread, process, KCMP_VM, 0, 0) == 0;
  return false;
}

// Before its parent continues, which may want to trace the child itself.
void Supervisor::let_go_of_fork(const Tracee& parent) {
  unsigned long message = 0;
  if (trace_request(PTRACE_GETEVENTMSG, parent.thread, 0, &message) != 0)
    return;
  const auto thread = static_cast<pid_t>(message);
  const Tracee* const born = tracees_.find(thread);
  if (born == nullptr || (!born->stopped && !tracees_.await_stop(thread)))
    return;
  Tracee* const child = tracees_.find(thread);
  if (child != nullptr && child->stopped && !child->introduced && is_event_stop(child->status)) {
    child->queued = false;
    on_child(*child);
  }
}

// The first stop of another process' first thread. Probes that were removed since the fork may still be in a
// copy.
void Supervisor::on_child(Tracee& child) {
  child.introduced = true;
  if (shares_memory(child.process))
    return tracees_.resume(child);
  if (TracedMemory copy; copy.open(child.process))
    for (const TracedSite& record : sites_.all()) {
      const Address at = record.displaced.site.address;
      const TracedSite& newest = *sites_.at(at);
      if (copy.byte_is(at, kInt3))
        (void)copy.write(at, {newest.displaced.instruction.bytes.data(), 1});
    }
  tracees_.detach(child, 0);
}

// The other threads are gone; the thread that called execve has become the process' first (ptrace(2),
// "execve(2) under ptrace").
void Supervisor::on_exec(Tracee& tracee) {
  if (tracee.process != tracees_.process())
    return tracees_.detach(tracee, 0);
  for (const Tracee* const other : tracees_.all())
    if (other->process == tracees_.process() && other != &tracee)
      tracees_.forget(other->thread);
  Tracee anew(tracee.thread, tracee.process);
  anew.stopped = true;
  anew.introduced = true;
  anew.status = tracee.status;
  tracee = anew;
  ++execs_;
  (void)memory_.open(tracee.process);
  for (TracedSite& record : sites_.all())
    record.live = false;
  slots_.forget();
  code_.forget();
  calls_.forget();
  entry_.on_exec(tracee.process);
  tracees_.resume(tracee);
}

// During a step only those signals arrive that no mask may hold back: faults of the displaced instruction,
// SIGSTOP, and signals with the number of a fault that somebody sends.
void Supervisor::on_signal(Tracee& tracee, int signal) {
  if (tracee.stepping == nullptr)
    return traps_.pass_on(tracee, signal);
  if (!is_synchronous(signal))
    return tracees_.resume(tracee, signal);
  siginfo_t info{};
  if (trace_request(PTRACE_GETSIGINFO, tracee.thread, 0, &info) != 0)
    return;
  if (info.si_code > 0)
    return traps_.fault_in_step(tracee, info);
  tracee.held_signal = info;
  tracees_.resume(tracee);
}

Status Supervisor::run_to_entry() {
  entry_.expect();
  while (entry_.arrived() == 0) {
    tracees_.note_all();
    if (!process_lives())
      return bad_input("the program ended before its first instruction");
    while (Tracee* const tracee = entry_.arrived() == 0 ? tracees_.next() : nullptr)
      handle(*tracee);
    if (entry_.arrived() == 0)
      tracees_.wait_until(std::chrono::steady_clock::now() + Tracees::kStopTimeout);
  }
  (void)tracees_.await_stop(entry_.arrived());
  entry_.done();
  at_entry_ = true;
  return {};
}

SiteResults Supervisor::arm(std::span<const Placement> placements) {
  return armed_.arm(placements, at_entry_ ? nullptr : std::function<void()>([this] { serve(); }));
}

// One pass over the stopped threads, which lets those continue that are inside a hit. True if none was.
bool Supervisor::all_out() {
  bool out = true;
  for (Tracee* const t : tracees_.all()) {
    if (!t->stopped)
      continue;
    const bool trap = stop_event(t->status) == 0 && stop_signal(t->status) == SIGTRAP;
    const bool stranger = t->process != tracees_.process() && !t->introduced;
    // A program that traps again and again by itself would hardly ever be seen without a trap.
    const bool own = trap && !stranger && !t->waits_for_its_turn && !trap_is_pending(t->thread) &&
                     traps_.is_the_programs_own(*t);
    if ((trap || stranger) && !own) {
      out = false;
      handle(*t);
    } else if (own) {
      // It is let go with its signal.
    } else if (trap_is_pending(t->thread) || (t->stepping != nullptr && !traps_.back_to_site(*t))) {
      out = false;
      // It stops again at once, or after its step.
      tracees_.resume(*t);
    } else if (t->stepping == nullptr && traps_.stands_in_slot(*t)) {
      // A signal that it is about to take goes with it; else it stands at its site now, or runs on.
      const bool signal = stop_event(t->status) == 0;
      if (signal)
        handle(*t);
      if (signal || !traps_.out_of_slot(*t))
        out = false;
    }
  }
  return out;
}

Status Supervisor::leave() {
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + Tracees::kStopTimeout;
  // An instruction that takes long, such as a rep movs, needs time to leave its slot.
  for (auto pause = 0us;; pause = std::min<std::chrono::microseconds>(2 * pause + 10us, 10ms)) {
    if (const Status stopped = tracees_.stop_all(); !stopped)
      return stopped;
    if (all_out())
      return {};
    std::this_thread::sleep_for(pause);
    if (std::chrono::steady_clock::now() > deadline)
      return failure(ErrorKind::NotQuiescent, "a thread has not left a hit within {} s",
                     Tracees::kStopTimeout.count());
  }
}

Status Supervisor::detach() {
  Status done;
  // A child that shares the memory may outlive the process.
  for (const Status& removed : tracees_.all().empty() ? SiteResults{} : disarm(armed_.armed()))
    if (!removed)
      done = removed;
  if (done)
    done = leave();
  if (done && process_lives())
    done = slots_.release_all();
  // Some threads may have continued to make room for the unmapping.
  if (done)
    done = leave();
  // The others wait in the kernel; they are let go when this process ends.
  for (Tracee* const t : tracees_.all())
    if (t->stopped)
      tracees_.detach(*t, stop_event(t->status) == 0 && stop_signal(t->status) != kSyscallStop
                              ? stop_signal(t->status)
                              : 0);
  if (armer_)
    armer_->close();
  return done;
}

Footprint Supervisor::footprint() const {
  Footprint all = armer_->footprint();
  all += stepper_->footprint();
  Footprint own;
  own.mappings = static_cast<std::int64_t>(slots_.pages());
  own.mapped_bytes = static_cast<std::int64_t>(slots_.pages() * kPageBytes);
  own.slots = static_cast<std::int64_t>(slots_.slots());
  own.processes = 1;
  for (const TracedSite& record : sites_.all())
    if (!record.live && record.displaced.plan != nullptr)
      ++own.residue_slots;
  all += own;
  return all;
}

} // namespace proberace
