#include "harness/ptrace/traced_slots.h"

#include "harness/trap/near_slots.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace proberace {

std::expected<Address, Error> TracedSlots::map_page(Address near) {
  constexpr std::uint64_t kProtection = PROT_READ | PROT_EXEC;
  constexpr std::uint64_t kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  for (const Address candidate : free_pages_near(AddressSpace::read(tracees_.process()), near)) {
    const auto page =
        calls_.call(SYS_mmap, {value(candidate), kPageBytes, kProtection, kFlags, ~std::uint64_t{0}, 0});
    if (!page)
      return std::unexpected(page.error());
    if (*page == -ENOMEM)
      return std::unexpected(Error{ErrorKind::MappingLimit, near,
                                   "no out-of-line page: out of memory, or vm.max_map_count is reached"});
    if (*page < 0)
      continue; // taken meanwhile, or below vm.mmap_min_addr
    const Address start{static_cast<std::uintptr_t>(*page)};
    pages_.push_back(Page{start, 0});
    (void)calls_.call(SYS_madvise, {value(start), kPageBytes, MADV_DONTFORK, 0, 0, 0});
    std::array<std::uint8_t, kPageBytes> traps; // a stray jump into an unused slot stops at once
    traps.fill(kInt3);
    if (const int error = memory_.write(start, traps); error != 0)
      return std::unexpected(
          system_error("cannot write an out-of-line page through /proc/PID/mem", error, near));
    return start;
  }
  return std::unexpected(
      Error{ErrorKind::NoRoom, near,
            fmt::format("no free page within {} MiB for an out-of-line slot", kSlotReach >> 20)});
}

std::expected<Address, Error> TracedSlots::reserve(Address near, std::size_t bytes) {
  const std::size_t rounded = (bytes + 15) & ~std::size_t{15}; // aligned for the instruction fetch
  auto page = std::find_if(pages_.rbegin(), pages_.rend(), [&](const Page& p) {
    return p.used + rounded <= kPageBytes && in_slot_reach(p.start, near);
  });
  if (page == pages_.rend()) {
    if (const auto start = map_page(near); !start)
      return std::unexpected(start.error());
    page = pages_.rbegin();
  }
  const Address slot = page->start + static_cast<std::ptrdiff_t>(page->used);
  page->used += rounded;
  ++slots_;
  return slot;
}

Status TracedSlots::write(Address slot, std::span<const std::uint8_t> code) {
  if (const int error = memory_.write(slot, code); error != 0)
    return std::unexpected(
        system_error("cannot write an out-of-line slot through /proc/PID/mem", error, slot));
  return {};
}

bool TracedSlots::contains(Address a) const noexcept {
  return std::any_of(pages_.begin(), pages_.end(), [a](const Page& p) { return p.start == page_of(a); });
}

Status TracedSlots::release_all() {
  while (!pages_.empty()) {
    const auto unmapped = calls_.call(SYS_munmap, {value(pages_.back().start), kPageBytes, 0, 0, 0, 0});
    if (!unmapped)
      return std::unexpected(unmapped.error());
    pages_.pop_back();
  }
  slots_ = 0;
  return {};
}

} // namespace proberace
