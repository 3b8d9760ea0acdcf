// Random numbers from a seed.
#pragma once

#include <cstdint>

namespace proberace {

// A stream of numbers from a seed (splitmix64; Steele, Lea, Flood, OOPSLA 2014). signal-safe.
inline std::uint64_t next_number(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

} // namespace proberace
