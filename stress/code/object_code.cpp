#include "stress/code/object_code.h"

#include <fmt/format.h>
#include <set>

namespace proberace {

std::vector<CodePoint> all_instructions(const Target& target, Address inside) {
  const AddressSpace space = target.address_space();
  std::vector<CodePoint> all;
  std::set<Address> seen;
  for (const FunctionRange& f : target.functions().of_object_at(space, inside)) {
    const std::vector<bool> starts = target.instructions_of(space, f);
    for (std::size_t i = 0; i < starts.size(); ++i)
      if (const Address at = f.start + static_cast<std::ptrdiff_t>(i); starts[i] && seen.insert(at).second)
        all.push_back({at, f.name.empty() ? fmt::format("function at {:#x}", value(f.start)) : f.name});
  }
  std::ranges::sort(all, {}, &CodePoint::address);
  return all;
}

std::vector<CodePoint> spread(const std::vector<CodePoint>& all, std::size_t count) {
  std::vector<CodePoint> chosen;
  for (std::size_t i = 0; i < count && i < all.size(); ++i)
    chosen.push_back(all[i * all.size() / std::min(count, all.size())]);
  return chosen;
}

} // namespace proberace
