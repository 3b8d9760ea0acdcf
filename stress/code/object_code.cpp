#include "stress/code/object_code.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

std::vector<CodePoint> all_instructions(const Target& target, Address inside) {
  const AddressSpace space = target.address_space();
  std::vector<CodePoint> all;
  for (const FunctionRange& f : target.functions().of_object_at(space, inside)) {
    const std::vector<bool> starts = target.instructions_of(space, f);
    const std::string name = f.name.empty() ? fmt::format("function at {:#x}", value(f.start)) : f.name;
    for (std::size_t i = 0; i < starts.size(); ++i)
      if (starts[i])
        all.push_back({f.start + static_cast<std::ptrdiff_t>(i), name});
  }
  std::ranges::stable_sort(all, {}, &CodePoint::address);
  const auto twice = std::ranges::unique(all, {}, &CodePoint::address);
  all.erase(twice.begin(), twice.end());
  return all;
}

std::vector<CodePoint> spread(const std::vector<CodePoint>& all, std::size_t count) {
  std::vector<CodePoint> chosen;
  for (std::size_t i = 0; i < count && i < all.size(); ++i)
    chosen.push_back(all[i * all.size() / std::min(count, all.size())]);
  return chosen;
}

} // namespace proberace
