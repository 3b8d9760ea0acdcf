// What is known of addresses, read without locks from the hit path.
//
// Open addressing in a table that never grows and entries that never go away before the table does: a reader
// in a signal handler holds no reference and needs none (H36). Look-up is constant time at one entry or a
// hundred thousand. The memory is touched where it is used only.
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

  // signal-safe, lock-free. What was added last for this address; null if nothing was.
  T* find(Address a) const noexcept {
    for (std::size_t i = bucket(a);; i = (i + 1) & kMask) {
      const Address key{entries_[i].key.load(std::memory_order_acquire)}; // pairs with add
      if (key == a)
        return entries_[i].item.load(std::memory_order_acquire); // pairs with add
      if (key == Address{})
        return nullptr;
    }
  }

  // By one controller at a time. `item` outlives the table's readers. False if the table is full.
  bool add(Address a, T* item) noexcept {
    std::size_t i = bucket(a);
    for (;; i = (i + 1) & kMask) {
      const Address key{entries_[i].key.load(std::memory_order_relaxed)}; // the controller is the only writer
      if (key == a)
        break;
      if (key != Address{})
        continue;
      if (used_ == kCapacity)
        return false;
      ++used_;
      break;
    }
    entries_[i].item.store(item, std::memory_order_release);    // pairs with find: the item is complete
    entries_[i].key.store(value(a), std::memory_order_release); // pairs with find: the item is there
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
