// A ring of blocks that one thread fills with records and another thread empties.
//
// Idea: one writer, one reader, no lock and no locked instruction. The writer is a thread *and* the signal
// handlers that interrupt it, at any instruction: a place is taken by one XADD without LOCK, which no signal
// can interrupt halfway, and only records below the outermost append are handed over (`depth_`).
// Trade-off: a ring belongs to its thread and its process; a forked child's appends are dropped.
#pragma once

#include "harness/log/hit_record.h"

#include <atomic>
#include <cstdint>
#include <span>
#include <sys/types.h>

namespace proberace {

enum class WhenFull {
  Wait, // until the reader has made room: nothing is lost, and the thread is held up; but a handler that
        // interrupts an append of its own thread drops its record
  Drop, // and continue; the number of dropped records is a record of its own as soon as there is room
};

class RecordRing {
public:
  // `blocks` outlive this; their number is a power of two, at least 2.
  RecordRing(std::span<LogBlock> blocks, std::uint32_t thread, WhenFull when_full) noexcept;

  // signal-safe. On the ring's thread only. Precondition: the log is not closed.
  void append(RecordKind kind, std::size_t site, std::uint64_t ticket, std::uint64_t state = 0) noexcept {
    depth_.store(depth_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (room() || make_room())
      put(kind, site, ticket, state);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const std::uint32_t depth = depth_.load(std::memory_order_relaxed) - 1;
    depth_.store(depth, std::memory_order_relaxed);
    if (depth == 0)
      hand_over();
  }

  // The reader's side, one thread. Records below this are whole. pairs with hand_over.
  std::uint64_t filled() const noexcept { return filled_.load(std::memory_order_acquire); }
  // The n-th block this thread ever filled, or is filling.
  LogBlock& block(std::uint64_t n) const noexcept { return blocks_[n & (blocks_.size() - 1)]; }
  std::size_t blocks() const noexcept { return blocks_.size(); }
  std::uint32_t thread() const noexcept { return thread_; }
  // Blocks below `n` were written and may be filled again. pairs with room.
  void release(std::uint64_t n) noexcept {
    limit_.store((n + blocks_.size()) * kBlockRecords, std::memory_order_release);
  }
  // Dropped so far, and how many of them no record tells of yet. After the thread's last append.
  std::uint64_t dropped() const noexcept { return dropped_; }
  std::uint64_t untold() const noexcept { return untold_; }

private:
  // So many appends can lie between one append's look and its taking: signals nested in each other.
  static constexpr std::uint64_t kNested = 16;

  // One instruction, so that a signal comes before or after it.
  static std::uint64_t take(std::uint64_t& counter, std::uint64_t n) noexcept {
    asm volatile("xaddq %0, %1" : "+r"(n), "+m"(counter) : : "cc");
    return n;
  }
  static std::uint64_t read(const std::uint64_t& counter) noexcept {
    return *const_cast<const volatile std::uint64_t*>(&counter);
  }

  bool room() const noexcept {
    return untold_ == 0 &&
           read(taken_) + kNested < limit_.load(std::memory_order_acquire); // pairs with release
  }
  // Waits or drops, and records what was dropped before. False if this record is dropped.
  bool make_room() noexcept;

  void put(RecordKind kind, std::size_t site, std::uint64_t ticket, std::uint64_t state) noexcept {
    const std::uint64_t serial = take(taken_, 1);
    HitRecord& r = block(serial / kBlockRecords).records[serial % kBlockRecords];
    r.time = __builtin_ia32_rdtsc();
    r.state = state;
    r.serial = static_cast<std::uint32_t>(serial);
    r.ticket = static_cast<std::uint32_t>(ticket);
    r.site = static_cast<std::uint32_t>(site);
    r.kind = kind;
  }

  // A signal between the look and the store has handed over more: look again.
  void hand_over() noexcept {
    std::uint64_t taken = 0;
    do {
      taken = read(taken_);
      filled_.store(taken, std::memory_order_release); // pairs with filled
    } while (taken != read(taken_));
  }

  const std::span<LogBlock> blocks_;
  const std::uint32_t thread_;
  const WhenFull when_full_;
  const pid_t process_;
  std::atomic<std::uint32_t> depth_{0}; // appends begun and not ended, one in the other
  std::uint64_t taken_ = 0;             // places ever
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;
  alignas(64) std::atomic<std::uint64_t> filled_{0}; // the reader looks here
  alignas(64) std::atomic<std::uint64_t> limit_;     // the reader writes here
};

} // namespace proberace
