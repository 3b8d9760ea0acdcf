// TrapContext over the ucontext of a SIGTRAP handler.
#pragma once

#include "harness/base/process_memory.h"
#include "harness/base/signal_action.h"
#include "harness/probe/trap_context.h"
#include "harness/trap/thread_record.h"

#include <csignal>
#include <cstring>
#include <ucontext.h>

namespace proberace {

inline constexpr std::uint64_t kTrapFlag = 0x100; // RFLAGS.TF, SDM vol. 1, 3.4.3.3

class SignalContext final : public TrapContext {
public:
  SignalContext(ucontext_t& context, ThreadRecord& thread) noexcept : context_(context), thread_(thread) {}

  std::uint64_t get(Register r) const noexcept override {
    return static_cast<std::uint64_t>(context_.uc_mcontext.gregs[index(r)]);
  }
  void set(Register r, std::uint64_t word) noexcept override {
    context_.uc_mcontext.gregs[index(r)] = static_cast<greg_t>(word);
  }

  // The handler runs in the target, on the thread's own behalf: its stack is simply there.
  bool read_word(Address at, std::uint64_t& out) const noexcept override {
    out = *reinterpret_cast<const std::uint64_t*>(bytes_at(at));
    return true;
  }
  bool write_word(Address at, std::uint64_t word) noexcept override {
    *reinterpret_cast<std::uint64_t*>(bytes_at(at)) = word;
    return true;
  }
  bool write_code_byte(Address at, std::uint8_t byte) noexcept override {
    return write_code(at, {&byte, 1}) == 0;
  }

  void start_single_step() noexcept override {
    stepping_ = true;
    thread_.held_mask = mask();
    thread_.target_stepped_itself = (get(Register::Rflags) & kTrapFlag) != 0;
    set(Register::Rflags, get(Register::Rflags) | kTrapFlag);
    mask() |= kAllSignals & ~kSynchronous;
  }
  void stop_single_step() noexcept override {
    if (!thread_.target_stepped_itself)
      set(Register::Rflags, get(Register::Rflags) & ~kTrapFlag);
    mask() = thread_.held_mask;
  }

  // Whether start_single_step was called on this context.
  bool stepping() const noexcept { return stepping_; }

  void took(Path path) noexcept override { count_one(thread_.paths[static_cast<std::size_t>(path)]); }

private:
  // Raised by the instruction itself; blocked, they would be a forced kill.
  static constexpr std::uint64_t kSynchronous = signal_bit(SIGTRAP) | signal_bit(SIGSEGV) |
                                                signal_bit(SIGBUS) | signal_bit(SIGILL) | signal_bit(SIGFPE) |
                                                signal_bit(SIGSYS);

  static constexpr int index(Register r) noexcept {
    constexpr std::array<int, kRegisterCount> kIndex{REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                                     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                     REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL};
    return kIndex[static_cast<std::size_t>(r)];
  }
  // The kernel's mask is the first 8 bytes of libc's larger sigset_t.
  std::uint64_t& mask() noexcept { return *reinterpret_cast<std::uint64_t*>(&context_.uc_sigmask); }

  ucontext_t& context_;
  ThreadRecord& thread_;
  bool stepping_ = false;
};

} // namespace proberace
