#include "harness/trap/near_slots.h"

#include "harness/base/process_memory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/mman.h>

namespace proberace {

bool in_slot_reach(Address page, Address near) noexcept {
  return std::abs(page - near) < kSlotReach - static_cast<std::ptrdiff_t>(kPageBytes);
}

std::vector<Address> free_pages_near(const AddressSpace& space, Address near) {
  std::vector<Address> found;
  const auto& all = space.mappings();
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const Address gap = all[i].end;
    if (all[i + 1].start - gap < static_cast<std::ptrdiff_t>(kPageBytes))
      continue;
    found.push_back(gap);
    found.push_back(all[i + 1].start - static_cast<std::ptrdiff_t>(kPageBytes));
  }
  std::erase_if(found, [&](Address a) { return !in_slot_reach(a, near); });
  std::sort(found.begin(), found.end(),
            [&](Address a, Address b) { return std::abs(a - near) < std::abs(b - near); });
  return found;
}

std::expected<Address, Error> NearSlots::map_page(Address near) {
  for (const Address candidate : free_pages_near(AddressSpace::read(), near)) {
    void* const page = ::mmap(bytes_at(candidate), kPageBytes, PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page == MAP_FAILED && errno == ENOMEM)
      return std::unexpected(Error{ErrorKind::MappingLimit, near,
                                   "no out-of-line page: out of memory, or vm.max_map_count is reached"});
    if (page == MAP_FAILED)
      continue;                                 // taken meanwhile, or below vm.mmap_min_addr
    std::array<std::uint8_t, kPageBytes> traps; // a stray jump into an unused slot stops at once
    traps.fill(kInt3);
    if (const int error = write_code(address_of(page), traps); error != 0) {
      ::munmap(page, kPageBytes);
      return std::unexpected(
          system_error("cannot write an out-of-line page through /proc/self/mem", error, near));
    }
    return address_of(page);
  }
  return std::unexpected(
      Error{ErrorKind::NoRoom, near,
            fmt::format("no free page within {} MiB for an out-of-line slot", kSlotReach >> 20)});
}

std::expected<Address, Error> NearSlots::reserve(Address near, std::size_t bytes) {
  const std::size_t rounded = (bytes + 15) & ~std::size_t{15}; // aligned for the instruction fetch
  auto page = std::find_if(pages_.rbegin(), pages_.rend(), [&](const Page& p) {
    return p.used + rounded <= kPageBytes && in_slot_reach(p.start, near);
  });
  if (page == pages_.rend()) {
    const auto start = map_page(near);
    if (!start)
      return std::unexpected(start.error());
    pages_.push_back(Page{*start, 0});
    page = pages_.rbegin();
  }
  const Address slot = page->start + static_cast<std::ptrdiff_t>(page->used);
  page->used += rounded;
  ++slots_;
  return slot;
}

Status NearSlots::write(Address slot, std::span<const std::uint8_t> code) {
  if (const int error = write_code(slot, code); error != 0)
    return std::unexpected(
        system_error("cannot write an out-of-line slot through /proc/self/mem", error, slot));
  return {};
}

bool NearSlots::contains(Address a) const noexcept {
  return std::any_of(pages_.begin(), pages_.end(), [a](const Page& p) { return p.start == page_of(a); });
}

void NearSlots::release_all() noexcept {
  for (const Page& page : pages_)
    ::munmap(bytes_at(page.start), kPageBytes);
  pages_.clear();
  slots_ = 0;
}

} // namespace proberace
