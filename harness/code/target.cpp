#include "harness/code/target.h"

#include "harness/base/failure.h"
#include "harness/base/process_memory.h"

#include <algorithm>

namespace proberace {

namespace {
// False if it is the program's own: it has mapped something else over a page with a probe.
bool may_be_a_replacement(const Mapping* mapping) {
  return mapping == nullptr || !mapping->file_backed() ||
         mapping->path.starts_with(std::string("/memfd:") + kReplacementFile);
}
} // namespace

AddressSpace Target::address_space() const {
  AddressSpace space = AddressSpace::on_demand(process_);
  const std::lock_guard lock(mutex_);
  for (const auto& [page, shadow] : shadows_)
    if (may_be_a_replacement(space.find(page)))
      space.shadow(page, shadow.original);
  return space;
}

bool Target::read(Address from, std::span<std::uint8_t> out) const {
  const bool whole = process_ == 0 ? read_memory(from, out) : read_memory_of(process_, from, out);
  if (whole)
    put_originals_back(from, out);
  return whole;
}

// Only where what was written is still there, or the int3 that comes before it: the program may have mapped
// something else here since.
void Target::put_originals_back(Address from, std::span<std::uint8_t> bytes) const {
  const std::lock_guard lock(mutex_);
  for_each_near(from, bytes.size(), [&](Address site, const Patch& patch) {
    for (std::size_t i = 0; i < patch.bytes; ++i) {
      const std::ptrdiff_t at = site + static_cast<std::ptrdiff_t>(i) - from;
      if (at < 0 || at >= static_cast<std::ptrdiff_t>(bytes.size()))
        continue;
      std::uint8_t& byte = bytes[static_cast<std::size_t>(at)];
      if (byte == patch.written[i] || (i == 0 && byte == kInt3))
        byte = patch.original[i];
    }
  });
}

std::vector<bool> Target::instructions_of(const AddressSpace& space, const FunctionRange& function) const {
  if (!linear_)
    if (auto reached = functions_.reached(space, function))
      return std::move(*reached);
  std::vector<std::uint8_t> code(static_cast<std::size_t>(function.end - function.start));
  return read(function.start, code) ? instruction_boundaries(code) : std::vector<bool>(code.size(), false);
}

std::expected<Site, Error> Target::site_at(Address address) const {
  return site_at(address_space(), address);
}

std::expected<Site, Error> Target::site_at(const AddressSpace& space, Address address) const {
  const Mapping* mapping = space.find(address);
  if (mapping == nullptr)
    return failure(ErrorKind::NotMapped, address, "nothing is mapped here");
  if (!mapping->executable)
    return failure(ErrorKind::NotExecutable, address, "{} is not mapped executable here",
                   mapping->path.empty() ? "anonymous memory" : mapping->path);
  const auto function = functions_.containing(space, address);
  if (!function)
    return failure(ErrorKind::OutsideFunction, address,
                   "outside every known function (symbol sizes, .eh_frame): may be data");
  return Site{address, mapping->device, mapping->inode,
              mapping->file_backed()
                  ? mapping->file_offset + static_cast<std::uint64_t>(address - mapping->start)
                  : 0,
              function->generation};
}

void Target::site_taken(Address site, std::span<const std::uint8_t> original,
                        std::span<const std::uint8_t> written, const Mapping* replaced) const {
  const std::lock_guard lock(mutex_);
  Patch& patch = patches_[site];
  patch.bytes = original.size();
  std::copy(original.begin(), original.end(), patch.original.begin());
  std::copy(written.begin(), written.end(), patch.written.begin());
  patch.replaces = replaced != nullptr;
  if (replaced == nullptr)
    return;
  Shadow& shadow = shadows_[page_of(site)];
  ++shadow.sites;
  shadow.original = *replaced; // another, if the program has mapped something else since
}

void Target::site_returned(Address site) const {
  const std::lock_guard lock(mutex_);
  const auto patch = patches_.find(site);
  if (patch == patches_.end())
    return;
  const bool replaced = patch->second.replaces;
  patches_.erase(patch);
  const auto it = shadows_.find(page_of(site));
  if (replaced && it != shadows_.end() && --it->second.sites == 0)
    shadows_.erase(it);
}

bool Target::holds_probe(Address begin, std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  bool found = false;
  for_each_near(begin, bytes, [&](Address site, const Patch& patch) {
    found = found || site + static_cast<std::ptrdiff_t>(patch.bytes) > begin;
  });
  return found;
}

} // namespace proberace
