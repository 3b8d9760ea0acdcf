// A table from addresses to items that the hit path reads without locks.
//
// Idea: open addressing in a table that never grows. An entry stays until the table goes, so a reader in a
// signal handler holds no reference and needs none (H36). Look-up takes constant time, with one entry or with
// a hundred thousand. Only the memory of entries in use is touched.
#pragma once

#include "harness/base/address.h"

#include <atomic>
#include <bit>
#include <new>
#include <sys/mman.h>

namespace proberace {

template <typename T, std::size_t kCapacity> class AddressTable {
public:
  AddressTable() {
    void* const memory =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    entries_ = static_cast<Entry*>(memory); // zero pages are an empty table
  }
  AddressTable(const AddressTable&) = delete;
  AddressTable& operator=(const AddressTable&) = delete;
  ~AddressTable() { ::munmap(entries_, kBytes); }

  // signal-safe, lock-free. The item that was added last for this address; null if none was.
  T* find(Address a) const noexcept {
    for (std::size_t i = bucket(a);; i = (i + 1) & kMask) {
      // Both loads pair with add.
      const Address key{entries_[i].key.load(std::memory_order_acquire)};
      if (key == a)
        return entries_[i].item.load(std::memory_order_acquire);
      if (key == Address{})
        return nullptr;
    }
  }

  // By one controller at a time. `item` outlives the table's readers. False if the table is full.
  bool add(Address a, T* item) noexcept {
    std::size_t i = bucket(a);
    for (;; i = (i + 1) & kMask) {
      // The controller is the only writer.
      const Address key{entries_[i].key.load(std::memory_order_relaxed)};
      if (key == a)
        break;
      if (key != Address{})
        continue;
      if (used_ == kCapacity)
        return false;
      ++used_;
      break;
    }
    // Pairs with find: the item is complete.
    entries_[i].item.store(item, std::memory_order_release);
    // Pairs with find: the item is there.
    entries_[i].key.store(value(a), std::memory_order_release);
    return true;
  }

private:
  struct Entry {
    std::atomic<std::uintptr_t> key;
    std::atomic<T*> item;
  };
  static constexpr std::size_t kBuckets = kCapacity * 2;
  static constexpr std::size_t kMask = kBuckets - 1;
  static constexpr std::size_t kBytes = kBuckets * sizeof(Entry);
  static_assert(std::has_single_bit(kBuckets));

  // Fibonacci hashing (Knuth, TAOCP vol. 3, 6.4): neighbouring addresses land far apart.
  static constexpr std::size_t bucket(Address a) noexcept {
    return static_cast<std::size_t>((value(a) * 0x9E3779B97F4A7C15U) >> (64 - std::countr_zero(kBuckets)));
  }

  Entry* entries_ = nullptr;
  std::size_t used_ = 0;
};

} // namespace proberace
