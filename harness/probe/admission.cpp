#include "harness/probe/admission.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

const std::vector<bool>& Admission::boundaries(const FunctionRange& function, const OriginalBytes& original) {
  const auto [it, fresh] = boundaries_.try_emplace({function.start, function.generation});
  if (fresh) {
    std::vector<std::uint8_t> code(static_cast<std::size_t>(function.end - function.start));
    if (target_.read(function.start, code)) {
      original(function.start, code);
      it->second = instruction_boundaries(code);
    } else {
      it->second.assign(code.size(), false);
    }
  }
  return it->second;
}

std::expected<Instruction, Error> Admission::admit(const AddressSpace& space, const Site& site,
                                                   const OriginalBytes& original) {
  const auto now = target_.site_at(space, site.address);
  if (!now)
    return std::unexpected(now.error());
  if (*now != site)
    return std::unexpected(Error{ErrorKind::StaleSite, site.address,
                                 "another mapping or other code lies here since the site was made"});
  const FunctionRange function = *target_.functions().containing(space, site.address);
  const auto offset = static_cast<std::size_t>(site.address - function.start);
  if (!boundaries(function, original)[offset])
    return std::unexpected(Error{ErrorKind::NotABoundary, site.address,
                                 fmt::format("no instruction of {} begins here",
                                             function.name.empty() ? "the function" : function.name)});
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  const std::span code(bytes.data(),
                       std::min(bytes.size(), static_cast<std::size_t>(function.end - site.address)));
  if (!target_.read(site.address, code))
    return std::unexpected(Error{ErrorKind::NotMapped, site.address, "the code here cannot be read"});
  original(site.address, code);
  if (code[0] == kInt3)
    return std::unexpected(Error{ErrorKind::AlreadyInt3, site.address,
                                 "an int3 is here already: the program's own, or another tool's probe"});
  return decode(site.address, code);
}

} // namespace proberace
