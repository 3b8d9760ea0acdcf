#include "harness/ptrace/traced_code.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

namespace proberace {

int TracedCode::write(Address to, std::span<const std::uint8_t> bytes) noexcept {
  serialised_ = false;
  return memory_.write(to, bytes);
}

bool TracedCode::barrier(Call call) {
  const auto command = [&](std::uint64_t c) {
    return (calls_.*call)(SYS_membarrier, {c, 0, 0, 0, 0, 0}).value_or(-1) == 0;
  };
  registered_ = registered_ || command(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
  return registered_ && command(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
}

void TracedCode::serialise() noexcept {
  if (serialised_)
    return;
  // If the kernel or a seccomp filter refuses membarrier: a stop takes every thread through the kernel.
  serialised_ = barrier(&InjectedCalls::call) || tracees_.stop_all().has_value();
}

Status TracedCode::while_stopped(void (*job)(void*) noexcept, void* argument) {
  if (const Status stopped = tracees_.stop_all(); !stopped)
    return stopped;
  job(argument);
  serialised_ = barrier(&InjectedCalls::call_while_stopped);
  return {};
}

} // namespace proberace
