// Hits counted by trampolines: one block of counters per thread, found through two words in the thread's own
// static TLS, so that a trampoline counts with one `add` to memory nobody else writes (H35, H73).
//
// A block is mapped at a thread's first hit and linked for ever; the block of a thread that ended is taken
// over by a later one after its counts were folded into the departed's (H23). Private memory: a forked child
// counts in its own copy (H72).
#pragma once

#include "harness/base/address.h"
#include "harness/probe/paths.h"

#include <array>
#include <atomic>
#include <map>
#include <sys/types.h>

namespace proberace {

inline constexpr std::size_t kMaxJumpSites = std::size_t{1} << 17; // over the open time of a prober

struct alignas(64) CounterBlock {
  std::atomic<pid_t> owner{0};
  // Non-zero while the thread is in the C part of a hit; passages counts how often it left. Plain stores of
  // the owner, ordered against a controller's reads by its heavy_fence.
  std::atomic<std::uint32_t> depth{0};
  std::atomic<std::uint32_t> passages{0};
  CounterBlock* next = nullptr;
  std::size_t mapped_bytes = 0;
  std::array<std::uint64_t, kPathCount> paths{};
  alignas(64) std::uint64_t hits[kMaxJumpSites]; // by site index; pages are touched on first use
};

// The two words of TLS. `epoch` says whose block it is; a trampoline compares it before it uses `block`.
struct CounterWords {
  std::uint32_t epoch = 0;
  CounterBlock* block = nullptr;
};

// signal-safe. One instruction (H73); only the owner writes.
[[gnu::always_inline]] inline void add_one(std::uint64_t& counter) noexcept {
  asm volatile("addq $1, %0" : "+m"(counter) : : "cc");
}

class JumpCounters {
public:
  JumpCounters();
  JumpCounters(const JumpCounters&) = delete;
  JumpCounters& operator=(const JumpCounters&) = delete;
  // Precondition: no thread can count any more.
  ~JumpCounters();

  // What a trampoline of this session finds in CounterWords::epoch once the thread has a block.
  std::uint32_t epoch() const noexcept { return epoch_; }
  // Distance of the thread's CounterWords from its fs base, in bytes; the same on every thread.
  static std::int32_t words_offset() noexcept;

  // signal-safe. The calling thread's block; maps one at its first call, aborts without memory.
  CounterBlock& mine() noexcept;

  // By thread; what was folded stands under thread 0.
  std::map<pid_t, std::uint64_t> of_site(std::uint32_t index) const;
  std::uint64_t total(Path path) const noexcept;
  std::uint64_t mapped_bytes() const noexcept;
  std::size_t blocks() const noexcept { return size_.load(std::memory_order_relaxed); } // a statistic

  template <typename F> void for_each(F&& f) const {
    for (CounterBlock* b = first_.load(std::memory_order_acquire); b != nullptr;
         b = b->next) // pairs with map_new
      f(*b);
  }
  // By the controller: sites with an index below `count` may be hit from now on.
  void sites_in_use(std::uint32_t count) noexcept {
    sites_.store(count, std::memory_order_release); // pairs with take_over
  }

private:
  CounterBlock* map_new(pid_t thread) noexcept;
  CounterBlock* take_over(pid_t thread) noexcept;
  template <typename F> auto settled(F&& sum) const;

  static constexpr std::size_t kTakeOverAbove = 256;

  const std::uint32_t epoch_;
  std::atomic<CounterBlock*> first_{nullptr};
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint32_t> sites_{0};
  std::atomic<std::uint64_t> moves_begun_{0};
  std::atomic<std::uint64_t> moves_ended_{0};
  CounterBlock* departed_; // counts of threads whose block was taken over; added to with locked instructions
};

} // namespace proberace
