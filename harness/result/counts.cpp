#include "harness/result/counts.h"

#include "harness/base/json.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

void add_counts(Json& sum, const Json& more) {
  for (const auto& [key, value] : more.items()) {
    Json& into = sum[key];
    if (value.is_object())
      add_counts(into, value);
    else if (value.is_number_integer())
      into = (into.is_null() ? 0 : into.get<std::uint64_t>()) + value.get<std::uint64_t>();
  }
}

std::string most_frequent(const Json& counts, std::size_t most) {
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const auto& [what, count] : counts.items())
    sorted.emplace_back(count, what);
  std::ranges::sort(sorted, std::greater());
  std::vector<std::string> words;
  for (const auto& [count, what] : sorted)
    if (words.size() < most)
      words.push_back(fmt::format("{} {}", what, count));
  return fmt::format("{}{}", fmt::join(words, ", "),
                     sorted.size() > most ? fmt::format(" and {} more", sorted.size() - most) : "");
}

} // namespace proberace
