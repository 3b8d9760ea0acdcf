// A site's state word, written around each operation on the site by the harness itself: operations in flight,
// last completed state, sequence number. No clock is involved, and no ambiguous execution is thrown away.
#pragma once

#include <atomic>
#include <cstdint>

namespace proberace {

class SiteState {
public:
  // Thread-safe. An operation on the site begins, and ends; `succeeded` if it changed the site's state.
  // Inserts and removes that succeed alternate, whichever controllers make them. So each success flips the
  // armed bit, and the bit is right whenever nothing is in flight, even if two operations overlapped.
  void begin() noexcept { word_.fetch_add(kInFlight, std::memory_order_acq_rel); } // pairs with read
  // Returns what the word is then.
  std::uint64_t end(bool succeeded) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    std::uint64_t next = 0;
    do
      next = ((word - kInFlight) ^ (succeeded ? kArmed : 0)) + kSequence;
    while (!word_.compare_exchange_weak(word, next, std::memory_order_release, // pairs with read
                                        std::memory_order_relaxed));
    return next;
  }

  std::uint64_t read() const noexcept {
    return word_.load(std::memory_order_acquire);
  } // pairs with begin, end

  // True if one operation began and ended between two reads, and nothing else was in flight.
  static constexpr bool only_one_between(std::uint64_t before, std::uint64_t after) noexcept {
    return quiet(before) && quiet(after) && (after & ~kArmed) - (before & ~kArmed) == kSequence;
  }
  static constexpr bool quiet(std::uint64_t word) noexcept { return (word & kInFlightMask) == 0; }
  static constexpr bool armed(std::uint64_t word) noexcept { return (word & kArmed) != 0; }
  // How many operations have ended.
  static constexpr std::uint64_t window(std::uint64_t word) noexcept { return word / kSequence; }

private:
  static constexpr std::uint64_t kArmed = 1;
  static constexpr std::uint64_t kInFlight = 2;
  static constexpr std::uint64_t kInFlightMask = 0xFFFE;
  static constexpr std::uint64_t kSequence = 0x10000;

  std::atomic<std::uint64_t> word_{0};
};

} // namespace proberace
