// Which of a workload's sites are armed: by their place in the list of all of them, as sorted ranges, so that
// a hundred thousand of them fit in a line.
#pragma once

#include "harness/base/json_fields.h"

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

// [first, one past the last].
template <> struct JsonForm<SiteRanges::value_type> {
  static Json write(const SiteRanges::value_type& range) { return Json::array({range.first, range.second}); }
  static std::optional<SiteRanges::value_type> read(const Json& json) {
    if (!json.is_array() || json.size() != 2 || !json[0].is_number_unsigned() ||
        !json[1].is_number_unsigned() || json[0] >= json[1])
      return std::nullopt;
    return SiteRanges::value_type{json[0], json[1]};
  }
  static std::string expected() { return "a range as two numbers: its first site, and one past its last"; }
};

} // namespace proberace
