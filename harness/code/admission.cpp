#include "harness/code/admission.h"

#include "harness/base/failure.h"

#include <algorithm>

namespace proberace {

const std::vector<bool>& Admission::boundaries(const AddressSpace& space, const FunctionRange& function) {
  const auto [it, fresh] = boundaries_.try_emplace({function.start, function.generation});
  if (fresh)
    it->second = target_.instructions_of(space, function);
  return it->second;
}

std::expected<Instruction, Error> Admission::admit(const AddressSpace& space, const Site& site) {
  const auto now = target_.site_at(space, site.address);
  if (!now)
    return std::unexpected(now.error());
  if (*now != site)
    return failure(ErrorKind::StaleSite, site.address,
                   "another mapping or other code lies here since the site was made");
  const auto found = target_.functions().containing(space, site.address);
  if (!found) // unmapped since the line above
    return failure(ErrorKind::NotMapped, site.address, "nothing is mapped here");
  const FunctionRange& function = *found;
  const auto offset = static_cast<std::size_t>(site.address - function.start);
  // A function's first instruction needs no look at the rest, which may be a library's whole code.
  if (offset != 0 && !boundaries(space, function)[offset])
    return failure(
        ErrorKind::NotABoundary, site.address,
        "no instruction of {} is seen to begin here: it is inside one, or nothing leads to it and it "
        "may be data",
        function.name.empty() ? "the function" : function.name);
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  const std::span code(bytes.data(),
                       std::min(bytes.size(), static_cast<std::size_t>(function.end - site.address)));
  if (!pages_.read(site.address, code))
    return failure(ErrorKind::NotMapped, site.address, "the code here cannot be read");
  if (code[0] == kInt3)
    return failure(ErrorKind::AlreadyInt3, site.address,
                   "an int3 is here already: the program's own, or another tool's probe");
  if (target_.holds_probe(site.address, 1))
    return failure(ErrorKind::Conflict, site.address,
                   "this byte is part of another probe, of the code that lies here or that "
                   "lay here before: remove that first");
  auto instruction = decode(site.address, code);
  if (!instruction)
    return instruction;
  if (const Status shown = target_.functions().shows_its_file(space, site.address,
                                                              std::span(bytes).first(instruction->length));
      !shown)
    return std::unexpected(shown.error());
  return instruction;
}

} // namespace proberace
