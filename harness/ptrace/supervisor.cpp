// Handles the stops of traced threads except traps: births, ends, execs, job control, signals.
#include "harness/base/failure.h"
#include "harness/ptrace/supervisor.h"
#include "harness/ptrace/trace_request.h"
#include "harness/schedule/point.h"

#include <elf.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/kcmp.h>

namespace proberace {

namespace {

constexpr bool is_synchronous(int signal) noexcept {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGSYS;
}

// The address at which a program's own code begins, from the vector that the kernel handed it (getauxval(3)).
Address entry_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/auxv", process), std::ios::binary);
  for (Elf64_auxv_t entry{}; file.read(reinterpret_cast<char*>(&entry), sizeof entry);)
    if (entry.a_type == AT_ENTRY)
      return Address{entry.a_un.a_val};
  return {};
}

} // namespace

// In a controlled run a trap is handled when it is its thread's turn.
bool Supervisor::waits_for_its_turn(Tracee& tracee) {
  const bool trap = stop_event(tracee.status) == 0 && stop_signal(tracee.status) == SIGTRAP;
  tracee.waits_for_its_turn =
      trap && schedule::stopped(tracee.thread, tracee.stepping != nullptr ? "ptrace.step" : "ptrace.trap");
  return tracee.waits_for_its_turn;
}

void Supervisor::handle(Tracee& tracee) {
  tracee.queued = false;
  tracee.waits_for_its_turn = false;
  const int signal = stop_signal(tracee.status);
  switch (stop_event(tracee.status)) {
  case PTRACE_EVENT_STOP: return on_event_stop(tracee);
  case PTRACE_EVENT_VFORK: tracee.in_vfork = true; break;
  case PTRACE_EVENT_VFORK_DONE: tracee.in_vfork = false; break;
  case PTRACE_EVENT_EXEC: return on_exec(tracee);
  case PTRACE_EVENT_EXIT: tracee.leaving = true; break;
  case 0:
    if (signal == SIGTRAP)
      return on_trap(tracee);
    if (signal != kSyscallStop)
      return on_signal(tracee, signal);
    break;
  default: break; // PTRACE_EVENT_CLONE and PTRACE_EVENT_FORK: the new thread stops by itself
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
  if (entry_ && entry_->address == Address{}) {
    entry_->address = entry_of(tracee.process);
    (void)memory_.read(entry_->address, {&entry_->original, 1});
    (void)memory_.write(entry_->address, {&kInt3, 1});
  }
  tracees_.resume(tracee);
}

// During a step only those signals arrive that no mask may hold back: faults of the displaced instruction,
// SIGSTOP, and signals with the number of a fault that somebody sends.
void Supervisor::on_signal(Tracee& tracee, int signal) {
  if (tracee.stepping == nullptr || !is_synchronous(signal))
    return tracees_.resume(tracee, signal);
  siginfo_t info{};
  if (trace_request(PTRACE_GETSIGINFO, tracee.thread, 0, &info) != 0)
    return;
  if (info.si_code > 0)
    return fault_in_step(tracee, info);
  tracee.held_signal = info;
  tracees_.resume(tracee);
}

Status Supervisor::run_to_entry() {
  entry_ = Entry{};
  while (entry_->arrived == 0) {
    tracees_.note_all();
    if (!process_lives())
      return bad_input("the program ended before its first instruction");
    while (Tracee* const tracee = entry_->arrived == 0 ? tracees_.next() : nullptr)
      handle(*tracee);
    if (entry_->arrived == 0)
      tracees_.wait_until(std::chrono::steady_clock::now() + Tracees::kStopTimeout);
  }
  (void)tracees_.await_stop(entry_->arrived);
  entry_.reset();
  return {};
}

} // namespace proberace
