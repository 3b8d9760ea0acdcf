// What a check's threads are, and what its random choices start from.
#pragma once

#include <cstdint>
#include <string>

namespace proberace {

struct Conditions {
  std::size_t threads;
  std::string plan;
  std::uint64_t seed;
};

} // namespace proberace
