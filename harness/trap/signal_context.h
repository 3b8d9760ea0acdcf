// TrapContext over the ucontext of a SIGTRAP handler.
#pragma once

#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/signal_action.h"
#include "harness/base/threads.h"
#include "harness/code/greg.h"
#include "harness/probe/trap_context.h"
#include "harness/trap/guarded_memory.h"
#include "harness/trap/saved_vectors.h"
#include "harness/trap/thread_record.h"

#include <asm/prctl.h>
#include <csignal>
#include <cstring>
#include <sys/syscall.h>
#include <ucontext.h>

namespace proberace {

class SignalContext final : public TrapContext {
public:
  SignalContext(ucontext_t& context, ThreadRecord& thread) noexcept : context_(context), thread_(thread) {}

  std::uint64_t get(Register r) const noexcept override {
    return static_cast<std::uint64_t>(context_.uc_mcontext.gregs[greg(r)]);
  }
  void set(Register r, std::uint64_t word) noexcept override {
    context_.uc_mcontext.gregs[greg(r)] = static_cast<greg_t>(word);
  }

  Vector vector(std::uint8_t number) const noexcept override {
    return saved_vector(context_.uc_mcontext.fpregs, number);
  }
  void set_vector(std::uint8_t number, const Vector& v) noexcept override {
    save_vector_in_frame(context_.uc_mcontext.fpregs, number, v);
  }

  bool load(Address from, std::span<std::uint8_t> to, HardwareFault& fault) const noexcept override {
    if (!on_this_stack(from, to.size()) && !readable(from, to.size(), fault))
      return false;
    copy_whole(to.data(), bytes_at(from), to.size());
    return true;
  }
  bool store(Address to, std::span<const std::uint8_t> from, HardwareFault& fault) noexcept override {
    if (!on_this_stack(to, from.size()) && !writable(to, from.size(), fault))
      return false;
    copy_whole(bytes_at(to), from.data(), from.size());
    return true;
  }
  void* in_place(Address at, std::size_t bytes, HardwareFault& fault) noexcept override {
    return on_this_stack(at, bytes) || writable(at, bytes, fault) ? bytes_at(at) : nullptr;
  }
  std::uint64_t segment_base(Segment segment) const noexcept override {
    std::uint64_t base = 0;
    raw_syscall(SYS_arch_prctl, segment == Segment::Fs ? ARCH_GET_FS : ARCH_GET_GS, &base);
    return base;
  }

  // The signal waits while the handler holds signals back, and is delivered at the site when the handler
  // returns. If the program blocks or ignores it, the hardware's fault would have forced it with its default
  // action (force_sig_info).
  void raise(const HardwareFault& fault) noexcept override {
    raised_ = true;
    std::uint64_t all = kAllSignals;
    // For a handler that holds no signal back.
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all);
    const auto ignored = reinterpret_cast<SignalHandler>(std::uintptr_t{1});
    if ((mask() & signal_bit(fault.signal)) != 0 || current_signal_action(fault.signal).handler == ignored) {
      mask() &= ~signal_bit(fault.signal);
      restore_signal_action(fault.signal, SignalAction{});
    }
    queue_fault(fault);
  }
  bool write_code_byte(Address at, std::uint8_t byte) noexcept override {
    return write_code(at, {&byte, 1}) == 0;
  }

  void start_single_step() noexcept override {
    StepInProgress& step = thread_.open_step();
    step.site = site_;
    step.held_mask = mask();
    step.target_stepped_itself = (get(Register::Rflags) & kTrapFlag) != 0;
    set(Register::Rflags, get(Register::Rflags) | kTrapFlag);
    mask() |= kAllSignals & ~kSynchronousSignals;
  }
  void stop_single_step() noexcept override {
    const StepInProgress& step = *thread_.innermost_step();
    if (!step.target_stepped_itself)
      set(Register::Rflags, get(Register::Rflags) & ~kTrapFlag);
    mask() = step.held_mask;
  }

  // The frame holds the pointer where the processor saved it, and sigreturn restores it from there.
  void move_x87_pointer(Address from, Address to) noexcept override {
    if (context_.uc_mcontext.fpregs != nullptr && context_.uc_mcontext.fpregs->rip == value(from))
      context_.uc_mcontext.fpregs->rip = value(to);
  }

  // The site for which the next start_single_step is called.
  void at_site(const SiteRecord& site) noexcept { site_ = &site; }
  // True if raise was called: only sigreturn, which restores the mask, delivers signals that wait.
  bool raised() const noexcept { return raised_; }

  void took(Path path) noexcept override { count_one(thread_.paths[static_cast<std::size_t>(path)]); }

private:
  // True for memory that is there without asking the kernel: from the frame that it has just written to the
  // end of the page of the interrupted stack pointer. A frame on another stack says nothing about this one.
  bool on_this_stack(Address at, std::size_t bytes) const noexcept {
    const Address frame = address_of(&context_);
    const Address pointer{get(Register::Rsp)};
    constexpr std::ptrdiff_t kLargestFrame = 16 * 1024; // with AVX-512 and AMX state
    const Address end{page_of(pointer - 1) + kPageBytes};
    return frame <= at && at + static_cast<std::ptrdiff_t>(bytes) <= end && pointer - frame > 0 &&
           pointer - frame < kLargestFrame;
  }

  // The kernel's mask is the first 8 bytes of libc's larger sigset_t.
  std::uint64_t& mask() noexcept { return *reinterpret_cast<std::uint64_t*>(&context_.uc_sigmask); }

  ucontext_t& context_;
  ThreadRecord& thread_;
  const SiteRecord* site_ = nullptr;
  bool raised_ = false;
};

} // namespace proberace
