#include "harness/base/signal_action.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"

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

void pass_on(const SignalAction& previous, int signo, siginfo_t* info, void* raw_context) noexcept {
  // libc's SIG_IGN and SIG_DFL, as the kernel stores them; a forced signal cannot be ignored
  // (force_sig_info).
  const auto kind = reinterpret_cast<std::uintptr_t>(previous.handler);
  const bool forced = info->si_code == SI_KERNEL || info->si_code > 0;
  if (kind > 1) {
    previous.handler(signo, info, raw_context);
  } else if (kind == 0 || forced) {
    restore_signal_action(signo, SignalAction{});
    raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), current_thread(), signo);
  }
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
