// Pages for trampolines: readable and executable, never writable, filled through /proc/self/mem. A place is
// given out once and stays until release_all, because a thread may still be inside (H12).
//
// Each page begins with one word, the mode. Trampolines read it from their own page, so that one write per
// page switches them between counting inline and calling the hit handler (trampoline.h).
#pragma once

#include "harness/base/pending_code.h"

#include <map>

namespace proberace {

class TrampolineSpace {
public:
  ~TrampolineSpace() { release_all(); }

  // Reserves `bytes` free bytes on one page within kSlotReach of `near`. NoRoom, MappingLimit.
  std::expected<Address, Error> reserve(Address near, std::size_t bytes);
  // Reserves exactly these bytes, and maps pages that are missing. False if they cannot be had; then nothing
  // has changed.
  bool reserve_at(Address at, std::size_t bytes);
  // Precondition: reserved. The code is kept until `flush`, so that all code that a batch adds to a page is
  // written by one call.
  void write(Address at, std::span<const std::uint8_t> code) { pending_.add(at, code); }
  // On success all code that was ever written is in memory. Call it before any thread is sent there; the
  // serialisation between the steps of write_jumps makes every core see the code.
  Status flush() { return pending_.flush(); }

  // Sets the mode word of all pages, and of those that are mapped from now on. Flushes.
  Status set_mode(std::uint32_t mode);
  static Address mode_word(Address trampoline) noexcept { return page_of(trampoline); }

  bool contains(Address a) const noexcept { return pages_.contains(page_of(a)); }
  std::size_t pages() const noexcept { return pages_.size(); }
  // Precondition: no thread is in a trampoline, and none can be sent to one.
  void release_all() noexcept;
  // Leaves the pages mapped until the process ends.
  void abandon() noexcept { pages_.clear(); }

private:
  struct Page {
    std::map<std::uint16_t, std::uint16_t> used; // begin to end, bytes
    std::size_t tail = 0;                        // the bytes from here on are free
  };
  bool map_page(Address page, int& error);
  bool free_here(Address page, std::size_t begin, std::size_t end) const;
  void take(Address page, std::size_t begin, std::size_t end);

  std::map<Address, Page> pages_;
  PendingCode pending_;
  Address last_{}; // the page reserve() filled last
  std::uint32_t mode_ = 0;
};

} // namespace proberace
