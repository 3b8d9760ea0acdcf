#include "harness/trap/paged_slots.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

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

std::expected<bool, Error> PagedSlots::try_page(Address page, Address near) {
  const auto refused = map(page);
  if (!refused)
    return std::unexpected(refused.error());
  if (*refused == ENOMEM)
    return failure(ErrorKind::MappingLimit, near,
                   "no out-of-line page: out of memory, or vm.max_map_count is reached");
  if (*refused != 0)
    return false; // taken, or below vm.mmap_min_addr
  pages_.push_back(Page{page, 0});
  std::array<std::uint8_t, kPageBytes> traps; // a stray jump into an unused slot stops at once
  traps.fill(kInt3);
  if (const Status written = write(page, traps); !written)
    return std::unexpected(written.error());
  return true;
}

// First below the newest page, where the next one is most often free; only then by a look at all mappings.
Status PagedSlots::add_page(Address near) {
  constexpr auto kPage = static_cast<std::ptrdiff_t>(kPageBytes);
  std::expected<bool, Error> mapped = false;
  if (!pages_.empty() && in_slot_reach(last_page() - kPage, near))
    mapped = try_page(last_page() - kPage, near);
  if (mapped && !*mapped)
    for (const Address candidate : free_pages_near(space(), near))
      if (mapped = try_page(candidate, near); !mapped || *mapped)
        break;
  if (!mapped)
    return std::unexpected(mapped.error());
  if (*mapped)
    return {};
  return failure(ErrorKind::NoRoom, near, "no free page within {} MiB for an out-of-line slot",
                 kSlotReach >> 20);
}

std::expected<Address, Error> PagedSlots::reserve(Address near, std::size_t bytes) {
  const std::size_t rounded = (bytes + 15) & ~std::size_t{15}; // aligned for the instruction fetch
  auto page = std::find_if(pages_.rbegin(), pages_.rend(), [&](const Page& p) {
    return p.used + rounded <= kPageBytes && in_slot_reach(p.start, near);
  });
  if (page == pages_.rend()) {
    if (const Status added = add_page(near); !added)
      return std::unexpected(added.error());
    page = pages_.rbegin();
  }
  const Address slot = page->start + static_cast<std::ptrdiff_t>(page->used);
  page->used += rounded;
  ++slots_;
  return slot;
}

std::size_t PagedSlots::last_run() const noexcept {
  std::size_t run = 1;
  for (auto page = pages_.rbegin(); page + 1 != pages_.rend(); ++page, ++run)
    if ((page + 1)->start != page->start + static_cast<std::ptrdiff_t>(kPageBytes))
      break;
  return run;
}

bool PagedSlots::contains(Address a) const noexcept {
  return std::any_of(pages_.begin(), pages_.end(), [a](const Page& p) { return p.start == page_of(a); });
}

} // namespace proberace
