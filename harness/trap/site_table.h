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
  static constexpr std::size_t kCapacity = std::size_t{1} << 20; // sites over the life of a table

  // signal-safe, lock-free. The newest record at this address, live or dead; null if there never was one.
  SiteRecord* find(Address a) const noexcept { return by_address_.find(a); }

  // By the controller only. Publishes a new, dead record; an older one at the address stays valid for those
  // who hold it. Null when the table is full.
  SiteRecord* add(Displaced displaced);

  const std::deque<SiteRecord>& records() const noexcept { return records_; }
  std::deque<SiteRecord>& records() noexcept { return records_; }

private:
  AddressTable<SiteRecord, kCapacity> by_address_;
  std::deque<SiteRecord> records_; // addresses are stable
};

} // namespace proberace
