// rt_sigaction(2) without libc, with a restorer of our own: libc's lives in libc's text, and a probe there
// would recurse on the way out of every hit.
#pragma once

#include "harness/base/error.h"

#include <csignal>

namespace proberace {

using SignalHandler = void (*)(int, siginfo_t*, void*);

// The kernel's own layout (arch/x86/include/uapi/asm/signal.h), not libc's.
struct SignalAction {
  SignalHandler handler = nullptr;
  unsigned long flags = 0;
  void (*restorer)() = nullptr;
  std::uint64_t mask = 0; // bit n-1 is signal n

  bool operator==(const SignalAction&) const = default;
};

inline constexpr std::uint64_t kAllSignals = ~std::uint64_t{0};

constexpr std::uint64_t signal_bit(int signo) noexcept {
  return std::uint64_t{1} << (signo - 1);
}

// Raised by an instruction itself: blocked, they are a forced kill (kernel/signal.c, force_sig_info).
inline constexpr std::uint64_t kSynchronousSignals = signal_bit(SIGTRAP) | signal_bit(SIGSEGV) |
                                                     signal_bit(SIGBUS) | signal_bit(SIGILL) |
                                                     signal_bit(SIGFPE) | signal_bit(SIGSYS);

// Installs `handler` (SA_SIGINFO is added) and returns what was there. signal-safe.
std::expected<SignalAction, int> install_signal_action(int signo, SignalHandler handler, unsigned long flags,
                                                       std::uint64_t mask) noexcept;
// Puts back what install_signal_action returned. signal-safe.
void restore_signal_action(int signo, const SignalAction& action) noexcept;
SignalAction current_signal_action(int signo) noexcept;
// signal-safe, called in a handler: passes the signal on to the action that was installed before, or to its
// default, which ends the program.
void pass_on(const SignalAction& previous, int signo, siginfo_t* info, void* raw_context) noexcept;
// signal-safe. First in a handler: the kernel leaves RFLAGS.AC (SDM vol. 1, 3.4.3.3) as the program had it,
// and compiled code is not aligned for it. The way out of the handler puts it back.
[[gnu::always_inline]] inline void clear_alignment_check() noexcept {
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp"
      :
      :
      : "memory", "cc");
}
// The address that a handler installed by us returns to: the first word of its frame.
Address signal_restorer() noexcept;

} // namespace proberace
