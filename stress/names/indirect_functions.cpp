#include "stress/names/indirect_functions.h"

#include <algorithm>
#include <set>

namespace proberace {

namespace {

// A word that is not filled yet leads into a procedure linkage table.
bool begins_function(const LoadedObject& object, Address at) {
  const std::uint64_t start = value(at - object.bias);
  return std::ranges::binary_search(object.image->functions, start, {}, &ElfFunction::start);
}

} // namespace

std::vector<Address> chosen_functions(const Target& target, std::span<const LoadedObject> loaded,
                                      const LoadedObject& of, const ElfSymbol& symbol) {
  std::set<Address> found;
  for (const LoadedObject& object : loaded) {
    if (!object.image)
      continue;
    for (const ElfSlot& slot : object.image->slots) {
      const bool by_resolver = object.image == of.image && object.bias == of.bias && slot.name.empty();
      if (by_resolver ? slot.resolver != symbol.start : slot.name != symbol.name)
        continue;
      std::uint64_t word = 0;
      if (!target.read(Address{slot.address} + object.bias,
                       {reinterpret_cast<std::uint8_t*>(&word), sizeof word}))
        continue;
      if (Address{word} != Address{symbol.start} + of.bias && begins_function(of, Address{word}))
        found.insert(Address{word});
    }
  }
  return {found.begin(), found.end()};
}

} // namespace proberace
