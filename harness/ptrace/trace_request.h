// ptrace(2) as a value: the kernel's own result, -errno on failure. ESRCH from a thread that was stopped
// means that it was killed meanwhile; its exit will be reported, so callers may ignore the error.
#pragma once

#include "harness/base/raw_syscall.h"

#include <csignal>
#include <cstdint>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>

namespace proberace {

template <typename Data = long>
long trace_request(int request, pid_t thread, std::uintptr_t address = 0, Data data = {}) noexcept {
  return raw_syscall(SYS_ptrace, request, thread, static_cast<long>(address), data);
}

// The event in a stop's wait status (ptrace(2), "Stopped states"). 0 for a signal that is about to be
// delivered.
constexpr int stop_event(int status) noexcept {
  return status >> 16;
}
constexpr int stop_signal(int status) noexcept {
  return (status >> 8) & 0xff;
}
inline constexpr int kSyscallStop = SIGTRAP | 0x80; // with PTRACE_O_TRACESYSGOOD

// PTRACE_INTERRUPT's stop, the first stop of a thread that was born traced, and group stops. In these stops a
// thread may be given other registers, and later its own back, and an interrupted system call does not
// notice.
constexpr bool is_event_stop(int status) noexcept {
  constexpr int kEventStop = PTRACE_EVENT_STOP;
  return stop_event(status) == kEventStop;
}
constexpr bool is_group_stop(int status) noexcept {
  const int signal = stop_signal(status);
  return is_event_stop(status) &&
         (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU);
}

} // namespace proberace
