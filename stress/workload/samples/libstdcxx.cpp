// libstdc++: sort and map against the simplest code that does the same. What of them is template code lies in
// this file; the trees' rebalancing and the strings lie in the library.
#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Pairs = std::vector<std::pair<std::string, std::uint64_t>>;

template <typename T> std::vector<T> sorted_by_insertion(const std::vector<T>& items) {
  std::vector<T> sorted;
  for (const T& item : items) {
    std::size_t i = 0;
    while (i < sorted.size() && sorted[i] < item)
      ++i;
    sorted.insert(sorted.begin() + static_cast<std::ptrdiff_t>(i), item);
  }
  return sorted;
}

} // namespace

extern "C" int proberace_workload(std::uint64_t seed) {
  std::vector<std::uint64_t> numbers;
  std::map<std::string, std::uint64_t> map;
  Pairs pairs; // what the map should hold
  for (int i = 0; i < 60; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    numbers.push_back(seed >> 40);
    std::ostringstream key;
    key << "key " << (seed >> 58);
    map[key.str()] += seed >> 50;
    const auto known =
        std::find_if(pairs.begin(), pairs.end(), [&](const auto& p) { return p.first == key.str(); });
    if (known != pairs.end())
      known->second += seed >> 50;
    else
      pairs.emplace_back(key.str(), seed >> 50);
    if (i % 5 == 4) {
      map.erase(pairs.front().first);
      pairs.erase(pairs.begin());
    }
  }
  const auto expected = sorted_by_insertion(numbers);
  std::sort(numbers.begin(), numbers.end());
  if (numbers != expected)
    return 1;
  const Pairs in_map(map.begin(), map.end());
  return in_map == sorted_by_insertion(pairs) ? 0 : 2;
}

extern "C" const void* const* proberace_workload_objects() {
  using Increment = std::_Rb_tree_node_base* (*)(std::_Rb_tree_node_base*);
  static const void* const kObjects[] = {
      reinterpret_cast<const void*>(&proberace_workload),
      reinterpret_cast<const void*>(static_cast<Increment>(&std::_Rb_tree_increment)), nullptr};
  return kObjects;
}
