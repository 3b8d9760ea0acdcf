#include "harness/log/record_ring.h"

#include "harness/base/raw_syscall.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace proberace {

RecordRing::RecordRing(std::span<LogBlock> blocks, std::uint32_t thread, WhenFull when_full) noexcept
    : blocks_(blocks), thread_(thread), when_full_(when_full), process_(::getpid()),
      limit_(blocks.size() * kBlockRecords) {}

bool RecordRing::make_room() noexcept {
  const bool own = static_cast<pid_t>(raw_syscall(SYS_getpid)) == process_; // a child has no reader
  constexpr timespec kWhile{0, 50'000};
  const auto full = [this] {
    return read(taken_) + kNested >= limit_.load(std::memory_order_acquire); // pairs with release
  };
  // Inside another append nothing new is handed over: once everything handed over is written, a wait would
  // never end.
  const bool interrupts = depth_.load(std::memory_order_relaxed) > 1;
  while (full() && own && when_full_ == WhenFull::Wait && !interrupts)
    raw_syscall(SYS_nanosleep, reinterpret_cast<std::uint64_t>(&kWhile), 0);
  if (full()) {
    take(dropped_, 1);
    take(untold_, 1);
    return false;
  }
  if (const std::uint64_t untold = read(untold_); untold != 0) {
    take(untold_, 0 - untold); // records that a signal drops meanwhile are reported next time
    put(RecordKind::Lost, 0, 0, untold);
  }
  return true;
}

} // namespace proberace
