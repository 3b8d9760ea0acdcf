// Quiescence: no thread is inside the hit path with a site that was just marked dead.
//
// Idea: between the trap and the handler's first instruction nothing in user space shows where a thread is,
// so no count of threads "inside" can be complete. An asymmetric pair works. The handler stores to its own
// passage word (no fence, nothing shared), then looks the site up. The controller marks the site dead, runs
// heavy_fence, and reads the words. A thread whose store it does not see will look the site up after the
// fence, and find it dead. A thread that finds no live site reads the byte again (signal_handler.cpp) and
// executes it once more. The scheme is that of asymmetric user-space RCU (Desnoyers et al., IEEE TPDS 23(2),
// 2012).
#pragma once

#include "harness/base/error.h"
#include "harness/trap/thread_record.h"

#include <chrono>

namespace proberace {

inline constexpr std::chrono::seconds kGraceTimeout{5};

// signal-safe, on the thread's own record. The hit path reads sites only between construction and
// destruction.
class Passage {
public:
  explicit Passage(ThreadRecord& record) noexcept : record_(record) {
    // Only this thread writes the word; the controller's heavy_fence orders the relaxed stores.
    record_.depth.store(record_.depth.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // The light half of the pair: it orders the compiler only.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Passage() {
    const std::uint32_t depth = record_.depth.load(std::memory_order_relaxed) - 1;
    if (depth == 0)
      record_.passages.store(record_.passages.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // Pairs with quiesce: the counts before it are visible.
    record_.depth.store(depth, std::memory_order_release);
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  // Relaxed: only this thread writes the word.
  bool nested() const noexcept { return record_.depth.load(std::memory_order_relaxed) > 1; }

private:
  ThreadRecord& record_;
};

// Returns once every passage that began before the call has ended, so that no site that was marked dead
// before is in use on the hit path. NotQuiescent after kGraceTimeout (a hit handler that does not return).
// Not to be called from a hit handler.
Status quiesce(const ThreadRecords& records);

} // namespace proberace
