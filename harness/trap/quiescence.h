// Knowing that nobody is inside the hit path with a site that was just marked dead.
//
// Between the trap and the handler's first instruction nothing in user space shows where a thread is, so no
// count of threads "inside" can be complete. What works is an asymmetric pair: the handler stores to its own
// passage word (no fence, nothing shared), then looks the site up; the controller marks the site dead, runs
// heavy_fence, and reads the words. A thread whose store it does not see will look the site up after the
// fence, and find it dead. Whoever finds no live site reads the byte again (signal_handler.cpp) and executes
// it once more. The scheme is that of asymmetric user-space RCU (Desnoyers et al., IEEE TPDS 23(2), 2012).
#pragma once

#include "harness/base/error.h"
#include "harness/trap/thread_record.h"

#include <chrono>

namespace proberace {

inline constexpr std::chrono::seconds kGraceTimeout{5};

// signal-safe, on the thread's own record. Everything the hit path reads of sites lies between the two.
class Passage {
public:
  explicit Passage(ThreadRecord& record) noexcept : record_(record) {
    // Only this thread writes the word; relaxed stores, ordered by the controller's heavy_fence.
    record_.depth.store(record_.depth.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst); // the light half: the compiler only
  }
  ~Passage() {
    const std::uint32_t depth = record_.depth.load(std::memory_order_relaxed) - 1;
    if (depth == 0)
      record_.passages.store(record_.passages.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    record_.depth.store(depth, std::memory_order_release); // pairs with quiesce: counts before are visible
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  bool nested() const noexcept { return record_.depth.load(std::memory_order_relaxed) > 1; } // own word

private:
  ThreadRecord& record_;
};

// Returns once every passage that began before the call has ended, so that nothing marked dead before is in
// use on the hit path. NotQuiescent after kGraceTimeout (a hit handler that does not return). Not from a hit
// handler.
Status quiesce(const ThreadRecords& records);

} // namespace proberace
