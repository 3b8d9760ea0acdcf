#include "harness/trap/quiescence.h"

#include "harness/base/failure.h"
#include "harness/base/membarrier.h"
#include "harness/base/threads.h"
#include "harness/schedule/point.h"

#include <sched.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

// True once the passage that the thread was in has ended, or the thread itself has.
bool wait_for_passage(const ThreadRecord& record, Clock::time_point deadline) {
  const std::uint32_t seen = record.passages.load(std::memory_order_relaxed);
  const auto inside = [&] {
    // The acquire pairs with ~Passage.
    return record.depth.load(std::memory_order_acquire) != 0 &&
           record.passages.load(std::memory_order_relaxed) == seen;
  };
  for (unsigned spins = 0; inside(); ++spins) {
    // In a controlled run nothing changes while this thread spins.
    constexpr unsigned kSpinsBeforeLook = schedule::kPoints ? 1 : 1000;
    const bool look = spins % kSpinsBeforeLook == kSpinsBeforeLook - 1;
    if (look && !thread_alive(record.owner.load(std::memory_order_relaxed)))
      return true;
    if (schedule::waiting("quiesce.wait") || !look)
      continue;
    if (Clock::now() > deadline)
      return false;
    ::sched_yield();
  }
  return true;
}

} // namespace

Status quiesce(const ThreadRecords& records) {
  heavy_fence();
  const auto deadline = Clock::now() + kGraceTimeout;
  pid_t stuck = 0;
  records.for_each([&](const ThreadRecord& r) {
    if (stuck == 0 && !wait_for_passage(r, deadline))
      stuck = r.owner.load(std::memory_order_relaxed);
  });
  if (stuck == 0)
    return {};
  return failure(ErrorKind::NotQuiescent,
                 "thread {} has been inside a hit for more than {} s: its hit handler does "
                 "not return",
                 stuck, kGraceTimeout.count());
}

} // namespace proberace
