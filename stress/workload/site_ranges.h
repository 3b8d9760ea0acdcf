// Which of a workload's sites are armed: by their place in the list of all of them, as sorted ranges, so that
// a hundred thousand of them fit in a line.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace proberace {

using SiteRanges = std::vector<std::pair<std::size_t, std::size_t>>; // first, and one past the last

// Sorted, each once, those below `count`.
inline std::vector<std::size_t> members(const SiteRanges& ranges, std::size_t count) {
  std::vector<bool> in(count);
  for (const auto& [first, end] : ranges)
    for (std::size_t i = first; i < end && i < count; ++i)
      in[i] = true;
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < count; ++i)
    if (in[i])
      all.push_back(i);
  return all;
}

// The inverse. Precondition: `sites` is sorted, each once.
inline SiteRanges ranges_of(const std::vector<std::size_t>& sites) {
  SiteRanges ranges;
  for (const std::size_t i : sites) {
    if (!ranges.empty() && ranges.back().second == i)
      ++ranges.back().second;
    else
      ranges.emplace_back(i, i + 1);
  }
  return ranges;
}

} // namespace proberace
