#include "harness/ptrace/ptrace_context.h"

#include "harness/base/address_space.h"
#include "harness/base/signal_action.h"

#include <array>
#include <sys/uio.h>

namespace proberace {

namespace {

using Member = unsigned long long user_regs_struct::*;
using R = user_regs_struct;
constexpr std::array<Member, kRegisterCount> kMembers{
    &R::rax, &R::rcx, &R::rdx, &R::rbx, &R::rsp, &R::rbp, &R::rsi, &R::rdi, &R::r8,
    &R::r9,  &R::r10, &R::r11, &R::r12, &R::r13, &R::r14, &R::r15, &R::rip, &R::eflags};

} // namespace

bool PtraceContext::fetch() noexcept {
  return trace_request(PTRACE_GETREGS, tracee_.thread, 0, &registers_) == 0;
}

void PtraceContext::commit() noexcept {
  if (changed_)
    trace_request(PTRACE_SETREGS, tracee_.thread, 0, &registers_);
  changed_ = false;
}

std::uint64_t PtraceContext::get(Register r) const noexcept {
  return registers_.*kMembers[static_cast<std::size_t>(r)];
}

void PtraceContext::set(Register r, std::uint64_t word) noexcept {
  registers_.*kMembers[static_cast<std::size_t>(r)] = word;
  changed_ = true;
}

// process_vm_readv and its twin go by the page permissions, as the thread itself would.
bool PtraceContext::load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept {
  iovec local{to.data(), to.size()};
  iovec remote{bytes_at(from), to.size()};
  if (::process_vm_readv(tracee_.process, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(to.size()))
    return true;
  fault = fault_at(from, false);
  return false;
}

bool PtraceContext::store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept {
  std::uint8_t before[1];
  // A store that runs into a hole must do nothing, so its last byte is tried first.
  const Address last = to + static_cast<std::ptrdiff_t>(from.size() - 1);
  if (page_of(last) != page_of(to) && !load(last, before, fault))
    return false;
  iovec local{const_cast<std::uint8_t*>(from.data()), from.size()};
  iovec remote{bytes_at(to), from.size()};
  if (::process_vm_writev(tracee_.process, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(from.size()))
    return true;
  fault = fault_at(to, true);
  return false;
}

// As arch/x86/mm/fault.c would have called it.
HardwareFault PtraceContext::fault_at(Address at, bool writing) const noexcept {
  if (value(at) >> 47 != 0) // not canonical: #GP, reported without an address
    return {SIGSEGV, SI_KERNEL, Address{}};
  const AddressSpace space = AddressSpace::read(tracee_.process);
  const Mapping* const mapping = space.find(at);
  if (mapping == nullptr)
    return {SIGSEGV, SEGV_MAPERR, at};
  if (!(writing ? mapping->writable : mapping->readable))
    return {SIGSEGV, SEGV_ACCERR, at};
  return {SIGBUS, BUS_ADRERR, at}; // behind the end of the mapped file
}

std::uint64_t PtraceContext::segment_base(Segment segment) const noexcept {
  return segment == Segment::Fs ? registers_.fs_base : registers_.gs_base;
}

// The kernel hides a trap flag of the tracer's own from PTRACE_GETREGS (arch/x86/kernel/ptrace.c, get_flags):
// one that shows is the program's.
void PtraceContext::start_single_step() noexcept {
  stepping_ = true;
  tracee_.steps_itself = (registers_.eflags & kTrapFlag) != 0;
  trace_request(PTRACE_GETSIGMASK, tracee_.thread, sizeof tracee_.held_mask, &tracee_.held_mask);
  std::uint64_t mask = tracee_.held_mask | (kAllSignals & ~kSynchronousSignals);
  trace_request(PTRACE_SETSIGMASK, tracee_.thread, sizeof mask, &mask);
}

void PtraceContext::stop_single_step() noexcept {
  trace_request(PTRACE_SETSIGMASK, tracee_.thread, sizeof tracee_.held_mask, &tracee_.held_mask);
}

// Written back even if it shows neither: the kernel's copy of the state may have lost the pointer (AMD's
// processors save it only while an exception is pending: arch/x86/kernel/fpu/core.c,
// restore_fpregs_from_fpstate), the registers that the thread goes on with not.
void PtraceContext::move_x87_pointer(Address from, Address to) noexcept {
  user_fpregs_struct state;
  if (trace_request(PTRACE_GETFPREGS, tracee_.thread, 0, &state) != 0)
    return;
  if (state.rip == value(from))
    state.rip = value(to);
  trace_request(PTRACE_SETFPREGS, tracee_.thread, 0, &state);
}

} // namespace proberace
