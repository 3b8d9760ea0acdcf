#include "stress/targets/object_code.h"

#include "harness/base/process_memory.h"

#include <fmt/format.h>
#include <set>

namespace proberace {

std::expected<std::vector<CodePoint>, Error> all_instructions(const Target& target, Address inside) {
  const AddressSpace space = target.address_space();
  const auto functions = target.functions().of_object(space, space.find(inside)->path);
  if (!functions)
    return std::unexpected(functions.error());
  std::vector<CodePoint> all;
  std::set<Address> seen;
  for (const FunctionRange& f : *functions) {
    std::vector<std::uint8_t> code(static_cast<std::size_t>(f.end - f.start));
    if (!read_memory(f.start, code))
      continue;
    const std::vector<bool> starts = instruction_boundaries(code);
    for (std::size_t i = 0; i < starts.size(); ++i)
      if (const Address at = f.start + static_cast<std::ptrdiff_t>(i); starts[i] && seen.insert(at).second)
        all.push_back({at, f.name.empty() ? fmt::format("function at {:#x}", value(f.start)) : f.name});
  }
  std::ranges::sort(all, {}, &CodePoint::address);
  return all;
}

} // namespace proberace
