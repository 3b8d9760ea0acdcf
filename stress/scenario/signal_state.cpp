#include "stress/scenario/signal_state.h"

#include "harness/base/raw_syscall.h"

#include <csignal>
#include <fmt/format.h>
#include <sys/syscall.h>

namespace proberace {

SignalState SignalState::of_this_thread() noexcept {
  SignalState now;
  raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &now.mask, sizeof now.mask);
  stack_t alternate{};
  raw_syscall(SYS_sigaltstack, nullptr, &alternate);
  now.stack = reinterpret_cast<std::uintptr_t>(alternate.ss_sp);
  now.stack_bytes = alternate.ss_size;
  now.stack_flags = alternate.ss_flags;
  return now;
}

std::string SignalState::difference(const SignalState& later) const {
  if (mask != later.mask)
    return fmt::format("the signal mask was {:#x} and is {:#x}", mask, later.mask);
  if (stack != later.stack || stack_bytes != later.stack_bytes || stack_flags != later.stack_flags)
    return fmt::format("the alternate stack was {} bytes at {:#x} (flags {:#x}), and is {} at {:#x} ({:#x})",
                       stack_bytes, stack, stack_flags, later.stack_bytes, later.stack, later.stack_flags);
  return {};
}

} // namespace proberace
