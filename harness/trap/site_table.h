// Sites by address, read without locks from the hit path.
//
// Open addressing in a table that never grows and entries that never go away before the table does: a reader
// in a signal handler holds no reference and needs none (H36). Removal only marks a record dead. Look-up is
// constant time at one site or a hundred thousand.
#pragma once

#include "harness/probe/stepper.h"

#include <atomic>
#include <deque>

namespace proberace {

class SiteRecord {
public:
  SiteRecord(Displaced displaced, std::uint32_t index) : displaced_(std::move(displaced)), index_(index) {}

  const Displaced& displaced() const noexcept { return displaced_; }
  std::uint32_t index() const noexcept { return index_; }

  // Odd while live; each change adds one, so that equal words around a look at the byte mean nothing changed
  // between. signal-safe.
  std::uint64_t state() const noexcept {
    return state_.load(std::memory_order_acquire);
  } // pairs with set_live
  static constexpr bool is_live(std::uint64_t state) noexcept { return (state & 1) != 0; }
  bool live() const noexcept { return is_live(state()); }

  // By the controller only. Must be live before the int3 can be seen, and dead only after it cannot (H18).
  void set_live(bool live) noexcept {
    if (is_live(state_.load(std::memory_order_relaxed)) != live) // the controller is the only writer
      state_.fetch_add(1, std::memory_order_release);            // pairs with state()
  }

private:
  const Displaced displaced_;
  const std::uint32_t index_;
  std::atomic<std::uint64_t> state_{0};
};

class SiteTable {
public:
  static constexpr std::size_t kCapacity = std::size_t{1} << 17; // sites over the life of a table

  SiteTable();

  // signal-safe, lock-free. The newest record at this address, live or dead; null if there never was one.
  SiteRecord* find(Address a) const noexcept {
    for (std::size_t i = bucket(a);; i = (i + 1) & kMask) {
      const Address key{entries_[i].key.load(std::memory_order_acquire)}; // pairs with add
      if (key == a)
        return entries_[i].record.load(std::memory_order_acquire); // pairs with add
      if (key == Address{})
        return nullptr;
    }
  }

  // By the controller only. Publishes a new, dead record; an older one at the address stays valid for those
  // who hold it. Null when the table is full.
  SiteRecord* add(Displaced displaced);

  const std::deque<SiteRecord>& records() const noexcept { return records_; }
  std::deque<SiteRecord>& records() noexcept { return records_; }

private:
  struct Entry {
    std::atomic<std::uintptr_t> key{0};
    std::atomic<SiteRecord*> record{nullptr};
  };
  static constexpr std::size_t kBuckets = kCapacity * 2;
  static constexpr std::size_t kMask = kBuckets - 1;

  // Fibonacci hashing (Knuth, TAOCP vol. 3, 6.4): neighbouring addresses land far apart.
  static constexpr std::size_t bucket(Address a) noexcept {
    return static_cast<std::size_t>((value(a) * 0x9E3779B97F4A7C15U) >> 46);
  }
  static_assert(kBuckets == std::size_t{1} << (64 - 46));

  std::unique_ptr<Entry[]> entries_;
  std::deque<SiteRecord> records_; // addresses are stable
};

} // namespace proberace
