// RapidCheck runs properties in batches, each from one seed.
#pragma once

#include "harness/base/random.h"

namespace proberace {

// Of the batches of a hunt: the first has the hunt's own, the others some that no hunt from a seed nearby has.
inline std::uint64_t seed_of_batch(std::uint64_t seed, std::uint64_t batch) noexcept {
  std::uint64_t state = seed + batch * 0x9e3779b97f4a7c15;
  return batch == 0 ? seed : next_number(state);
}

} // namespace proberace
