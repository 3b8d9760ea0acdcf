#include "harness/ptrace/ptrace_context.h"

#include "harness/base/address_space.h"
#include "harness/base/signal_action.h"
#include "harness/trap/guarded_memory.h"

#include <array>
#include <sys/uio.h>

namespace proberace {

namespace {

using Member = unsigned long long user_regs_struct::*;
using R = user_regs_struct;
constexpr auto kMembers = std::to_array<Member>({&R::rax, &R::rcx, &R::rdx, &R::rbx, &R::rsp, &R::rbp,
                                                 &R::rsi, &R::rdi, &R::r8, &R::r9, &R::r10, &R::r11, &R::r12,
                                                 &R::r13, &R::r14, &R::r15, &R::rip, &R::eflags});
static_assert(kMembers.size() == kRegisterCount);

bool accessible(const Mapping* mapping, bool writing) noexcept {
  return mapping != nullptr && (writing ? mapping->writable : mapping->readable);
}

} // namespace

bool PtraceContext::fetch() noexcept {
  const bool there = trace_request(PTRACE_GETREGS, tracee_.thread, 0, &registers_) == 0;
  fetched_ = registers_;
  return there;
}

void PtraceContext::drop() noexcept {
  registers_ = fetched_;
  raised_.reset();
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

Vector PtraceContext::vector(std::uint8_t number) const noexcept {
  user_fpregs_struct state{};
  trace_request(PTRACE_GETFPREGS, tracee_.thread, 0, &state);
  Vector v;
  std::memcpy(v.data(), &state.xmm_space[number * sizeof v / sizeof *state.xmm_space], sizeof v);
  return v;
}

// The kernel marks the registers as in use (arch/x86/kernel/fpu/regset.c, xfpregs_set), and leaves the wider
// parts above them as they are.
void PtraceContext::set_vector(std::uint8_t number, const Vector& v) noexcept {
  user_fpregs_struct state;
  if (trace_request(PTRACE_GETFPREGS, tracee_.thread, 0, &state) != 0)
    return;
  std::memcpy(&state.xmm_space[number * sizeof v / sizeof *state.xmm_space], v.data(), sizeof v);
  trace_request(PTRACE_SETFPREGS, tracee_.thread, 0, &state);
}

// True if the thread's own access would neither make a page nor wait for somebody who makes it (Documentation/
// admin-guide/mm/pagemap.rst: present, and not write-protected by userfaultfd).
bool PtraceContext::is_there(Address at, std::size_t bytes, bool writing) const noexcept {
  constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
  constexpr std::uint64_t kWatched = std::uint64_t{1} << 57;
  const Address last = page_of(at + static_cast<std::ptrdiff_t>(bytes - 1));
  for (Address page = page_of(at); only_present_; page = last) {
    std::uint64_t entry = 0;
    if (!memory_.page_entry(page, entry))
      return true; // not to be had: the access itself will say
    if ((entry & kPresent) == 0 || (writing && (entry & kWatched) != 0))
      return false;
    if (page == last)
      return true;
  }
  return true;
}

// process_vm_readv and process_vm_writev obey the page permissions, as the thread itself would.
bool PtraceContext::load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept {
  if (!is_there(from, to.size(), false)) {
    fault = fault_at(from, to.size(), false);
    return false;
  }
  iovec local{to.data(), to.size()};
  iovec remote{bytes_at(from), to.size()};
  if (::process_vm_readv(tracee_.thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(to.size()))
    return true;
  fault = fault_at(from, to.size(), false);
  return false;
}

bool PtraceContext::store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept {
  if (!is_there(to, from.size(), true)) {
    fault = fault_at(to, from.size(), true);
    return false;
  }
  // A store that reaches a page that it may not write must change nothing; process_vm_writev would write the
  // part before that page.
  const Address last = to + static_cast<std::ptrdiff_t>(from.size() - 1);
  if (page_of(last) != page_of(to) && !accessible(memory_.space().find(last), true)) {
    fault = fault_at(to, from.size(), true);
    return false;
  }
  iovec local{const_cast<std::uint8_t*>(from.data()), from.size()};
  iovec remote{bytes_at(to), from.size()};
  if (::process_vm_writev(tracee_.thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(from.size()))
    return true;
  fault = fault_at(to, from.size(), true);
  return false;
}

// The fault as arch/x86/mm/fault.c would have reported it. Precondition: the access failed.
HardwareFault PtraceContext::fault_at(Address at, std::size_t bytes, bool writing) const noexcept {
  const Address last = at + static_cast<std::ptrdiff_t>(bytes - 1);
  HardwareFault fault;
  if (outside_user_half(at, last, fault))
    return fault;
  const AddressSpace space = memory_.space();
  for (const Address edge : {at, page_of(last)})
    if (const Mapping* const mapping = space.find(edge); !accessible(mapping, writing))
      return {SIGSEGV, mapping == nullptr ? SEGV_MAPERR : SEGV_ACCERR, edge};
  // The page lies behind the end of the mapped file.
  return {SIGBUS, BUS_ADRERR, at};
}

std::uint64_t PtraceContext::segment_base(Segment segment) const noexcept {
  return segment == Segment::Fs ? registers_.fs_base : registers_.gs_base;
}

// The kernel hides the tracer's own trap flag from PTRACE_GETREGS (arch/x86/kernel/ptrace.c, get_flags): a
// trap flag that shows is the program's.
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

// The state is written back even if it shows neither address: the kernel's copy of it may have lost the
// pointer, while the registers with which the thread continues still hold it (AMD's processors save it only
// while an exception is pending: arch/x86/kernel/fpu/core.c, restore_fpregs_from_fpstate).
void PtraceContext::move_x87_pointer(Address from, Address to) noexcept {
  user_fpregs_struct state{};
  if (trace_request(PTRACE_GETFPREGS, tracee_.thread, 0, &state) != 0)
    return;
  if (state.rip == value(from))
    state.rip = value(to);
  trace_request(PTRACE_SETFPREGS, tracee_.thread, 0, &state);
}

} // namespace proberace
