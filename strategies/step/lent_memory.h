// Memory of the target's threads (TLS, stacks) that is made executable while their hits need it, and gets its
// old permissions back afterwards.
//
// Idea: the mail's "there is the 'problem' of marking the TLS/stack executable when being probed". A range is
// lent at a thread's first hit, whole pages at a time, and all of them are given back after the last removal.
// Ranges are remembered by address, not by thread: one that has ended may have left its stack to the next
// (glibc caches stacks, H74). Trade-off: whatever else lies in those pages is writable and executable too.
#pragma once

#include "harness/base/error.h"
#include "harness/probe/footprint.h"

#include <atomic>
#include <memory>

namespace proberace {

class LentMemory {
public:
  // MemoryUnsupported if this process may not make writable memory executable (PR_SET_MDWE, SELinux'
  // execmem).
  static Status allowed();

  // signal-safe, lock-free; lending again is harmless. The pages of [start, start+bytes) become writable and
  // executable, and slots in it count as ours. Precondition: they are mapped and writable. Ends the process
  // with a message if the kernel refuses: the hit could not be completed.
  void lend(Address start, std::size_t bytes) noexcept;
  // Changes with every give_back, and differs from every other object's: memory that was lent under an
  // earlier number is no longer lent. signal-safe.
  std::uint64_t epoch() const noexcept {
    return epoch_.load(std::memory_order_acquire);
  } // pairs with give_back

  bool empty() const noexcept { return used_.load(std::memory_order_acquire) == 0; } // pairs with lend
  // True if `pc` lies in a lent range. Thread-safe.
  bool contains(Address pc) const noexcept;
  // Precondition: no thread runs there, and none can be sent there. Pages that are no longer as lend left
  // them (unmapped, mapped again) are left alone.
  void give_back() noexcept;

  Footprint footprint() const noexcept;

private:
  static constexpr std::uint32_t kCapacity = 4096; // different ranges between two removals
  struct Range {
    std::atomic<std::uintptr_t> start{0};
    std::atomic<std::uint32_t> bytes{0};
  };
  template <typename F> void for_each(F&& f) const noexcept {
    const std::uint32_t used = used_.load(std::memory_order_acquire); // pairs with lend
    for (std::uint32_t i = 0; i < used && i < kCapacity; ++i) {
      // 0 while it is being written. Pairs with lend.
      const Address start{ranges_[i].start.load(std::memory_order_acquire)};
      f(start, ranges_[i].bytes.load(std::memory_order_relaxed));
    }
  }

  std::unique_ptr<Range[]> ranges_ = std::make_unique<Range[]>(kCapacity);
  std::atomic<std::uint32_t> used_{0};
  static std::uint64_t next_epoch() noexcept;
  std::atomic<std::uint64_t> epoch_{next_epoch()};
};

} // namespace proberace
