// Clocks: the steady one, and the time stamp counter for single operations (SDM vol. 3B, 18.17: invariant on
// every CPU we run on).
#pragma once

#include <chrono>
#include <cstdint>
#include <x86intrin.h>

namespace proberace {

inline double nanoseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

// Ordered behind what comes before it and before what follows (SDM vol. 2B, RDTSCP; LFENCE).
inline std::uint64_t cycles_now() noexcept {
  unsigned cpu = 0;
  const std::uint64_t t = __rdtscp(&cpu);
  _mm_lfence();
  return t;
}

// Nanoseconds per cycle of the counter, measured against the steady clock for about 5 ms.
inline double nanoseconds_per_cycle() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kCalibration{5};
  const auto begin = Clock::now();
  const std::uint64_t first = cycles_now();
  while (Clock::now() - begin < kCalibration) {
  }
  const std::uint64_t last = cycles_now();
  return nanoseconds_since(begin) / static_cast<double>(last - first);
}

} // namespace proberace
