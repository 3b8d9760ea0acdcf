#include "stress/names/suggestions.h"

#include "stress/names/demangled.h"
#include "stress/names/function_name.h"

#include <algorithm>
#include <cctype>
#include <fmt/ranges.h>
#include <set>

namespace proberace {

namespace {

constexpr std::size_t kMostLetters = 2;

std::string lower(std::string_view text) {
  std::string all;
  for (const char c : text)
    all += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return all;
}

// Levenshtein's distance; something greater than kMostLetters if it is greater.
std::size_t distance(std::string_view a, std::string_view b) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > kMostLetters)
    return kMostLetters + 1;
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Of a demangled name, what stands before its parameters.
std::string_view plain(std::string_view name) {
  constexpr std::string_view kUnnamed = "(anonymous namespace)::";
  const std::size_t unnamed = name.rfind(kUnnamed);
  return name.substr(0, name.find('(', unnamed == std::string_view::npos ? 0 : unnamed + kUnnamed.size()));
}

} // namespace

std::vector<std::string> similar_names(const std::string& name, std::span<const LoadedObject* const> objects,
                                       std::size_t most) {
  const std::string wanted = lower(name);
  std::set<std::pair<std::size_t, std::string>>
      nearest; // by how much longer they are, or by letters that differ
  for (const LoadedObject* const object : objects) {
    if (!object->image)
      continue;
    for (const ElfSymbol& symbol : object->image->symbols) {
      // Demangling all would take seconds.
      const std::string raw = lower(symbol.name);
      const bool holds = raw.find(wanted) != std::string::npos;
      std::size_t letters = holds ? 0 : distance(wanted, raw);
      if (letters > kMostLetters)
        continue;
      const std::string text = shown(symbol);
      const std::size_t longer = holds ? plain(text).size() - std::min(plain(text).size(), wanted.size()) : 0;
      nearest.emplace(letters + longer, text);
      if (nearest.size() > most)
        nearest.erase(std::prev(nearest.end()));
    }
  }
  std::vector<std::string> names;
  for (const auto& [rank, text] : nearest)
    names.push_back(text);
  return names;
}

std::string hint_of_similar(const std::string& name, std::span<const LoadedObject* const> objects) {
  const std::vector<std::string> similar = similar_names(name, objects);
  return similar.empty() ? "" : fmt::format("; similar names are '{}'", fmt::join(similar, "', '"));
}

} // namespace proberace
