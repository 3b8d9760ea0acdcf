#include "harness/base/signal_action.h"

#include "harness/base/raw_syscall.h"

#include <sys/syscall.h>

// SYS_rt_sigreturn is 15. The unwinder recognises these very bytes as a signal frame (libgcc,
// linux-unwind.h).
asm(R"(
        .text
        .p2align 4
        .type   proberace_signal_restorer, @function
proberace_signal_restorer:
        movq    $15, %rax
        syscall
        .size   proberace_signal_restorer, .-proberace_signal_restorer
)");
extern "C" void proberace_signal_restorer();

namespace proberace {

namespace {
constexpr unsigned long kSaRestorer = 0x04000000;
} // namespace

std::expected<SignalAction, int> install_signal_action(int signo, SignalHandler handler, unsigned long flags,
                                                       std::uint64_t mask) noexcept {
  const SignalAction action{handler, flags | SA_SIGINFO | kSaRestorer, &proberace_signal_restorer, mask};
  SignalAction old;
  const long result = raw_syscall(SYS_rt_sigaction, signo, &action, &old, sizeof action.mask);
  if (result < 0)
    return std::unexpected(static_cast<int>(-result));
  return old;
}

void restore_signal_action(int signo, const SignalAction& action) noexcept {
  raw_syscall(SYS_rt_sigaction, signo, &action, nullptr, sizeof action.mask);
}

Address signal_restorer() noexcept {
  return address_of(reinterpret_cast<const void*>(&proberace_signal_restorer));
}

SignalAction current_signal_action(int signo) noexcept {
  SignalAction action;
  raw_syscall(SYS_rt_sigaction, signo, nullptr, &action, sizeof action.mask);
  return action;
}

} // namespace proberace
