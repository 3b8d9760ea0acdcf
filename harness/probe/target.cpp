#include "harness/probe/target.h"

#include "harness/base/process_memory.h"

#include <fmt/format.h>

namespace proberace {

AddressSpace Target::address_space() const {
  AddressSpace space = AddressSpace::read(process_);
  const std::lock_guard lock(mutex_);
  for (const auto& [page, shadow] : shadows_)
    space.shadow(page, shadow.original);
  return space;
}

bool Target::read(Address from, std::span<std::uint8_t> out) const {
  return process_ == 0 ? read_memory(from, out) : read_memory_of(process_, from, out);
}

std::expected<Site, Error> Target::site_at(Address address) const {
  return site_at(address_space(), address);
}

std::expected<Site, Error> Target::site_at(const AddressSpace& space, Address address) const {
  const Mapping* mapping = space.find(address);
  if (mapping == nullptr)
    return std::unexpected(Error{ErrorKind::NotMapped, address, "nothing is mapped here"});
  if (!mapping->executable)
    return std::unexpected(Error{ErrorKind::NotExecutable, address,
                                 fmt::format("{} is not mapped executable here",
                                             mapping->path.empty() ? "anonymous memory" : mapping->path)});
  const auto function = functions_.containing(space, address);
  if (!function)
    return std::unexpected(Error{ErrorKind::OutsideFunction, address,
                                 "outside every known function (symbol sizes, .eh_frame): may be data"});
  return Site{address, mapping->device, mapping->inode,
              mapping->file_backed()
                  ? mapping->file_offset + static_cast<std::uint64_t>(address - mapping->start)
                  : 0,
              function->generation};
}

void Target::page_taken(Address page, const Mapping& original) const {
  const std::lock_guard lock(mutex_);
  Shadow& shadow = shadows_[page];
  if (shadow.sites++ == 0)
    shadow.original = original;
}

void Target::page_returned(Address page) const {
  const std::lock_guard lock(mutex_);
  const auto it = shadows_.find(page);
  if (it != shadows_.end() && --it->second.sites == 0)
    shadows_.erase(it);
}

} // namespace proberace
