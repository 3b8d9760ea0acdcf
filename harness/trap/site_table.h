// Sites by address, read without locks from the hit path (address_table.h). Removal only marks a record dead.
#pragma once

#include "harness/probe/stepper.h"
#include "harness/trap/address_table.h"

#include <atomic>
#include <deque>

namespace proberace {

class SiteRecord {
public:
  SiteRecord(Displaced displaced, std::uint32_t index) : displaced_(std::move(displaced)), index_(index) {}

  const Displaced& displaced() const noexcept { return displaced_; }
  std::uint32_t index() const noexcept { return index_; }

  // signal-safe. Odd while live. Each change adds one, so that equal words before and after a look at the
  // byte mean that nothing changed between. Pairs with set_live.
  std::uint64_t state() const noexcept { return state_.load(std::memory_order_acquire); }
  static constexpr bool is_live(std::uint64_t state) noexcept { return (state & 1) != 0; }
  bool live() const noexcept { return is_live(state()); }

  // By the controller only. The record must be live before the int3 can be seen, and dead only after the int3
  // cannot be seen any more (H18).
  void set_live(bool live) noexcept {
    // Relaxed: the controller is the only writer. The release pairs with state().
    if (is_live(state_.load(std::memory_order_relaxed)) != live)
      state_.fetch_add(1, std::memory_order_release);
  }

private:
  const Displaced displaced_;
  const std::uint32_t index_;
  std::atomic<std::uint64_t> state_{0};
};

class SiteTable {
public:
  static constexpr std::size_t kCapacity = std::size_t{1} << 20; // sites over the life of a table

  // signal-safe, lock-free. The newest record at this address, live or dead; null if there never was one.
  SiteRecord* find(Address a) const noexcept { return by_address_.find(a); }

  // By the controller only. Publishes a new, dead record; an older one at the address stays valid for threads
  // that hold it. Null if the table is full.
  SiteRecord* add(Displaced displaced);

  const std::deque<SiteRecord>& records() const noexcept { return records_; }
  std::deque<SiteRecord>& records() noexcept { return records_; }

private:
  AddressTable<SiteRecord, kCapacity> by_address_;
  std::deque<SiteRecord> records_; // addresses are stable
};

} // namespace proberace
