#include "strategies/whole/trampoline_space.h"

#include "harness/base/failure.h"
#include "harness/trap/paged_slots.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::size_t kHeaderBytes = 16;

} // namespace

bool TrampolineSpace::map_page(Address page, int& error) {
  void* const memory = ::mmap(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory == MAP_FAILED) {
    error = errno;
    return false;
  }
  std::array<std::uint8_t, kPageBytes> content; // a stray jump stops at once
  content.fill(kInt3);
  std::memcpy(content.data(), &mode_, sizeof mode_);
  pending_.add(page, content);
  pages_[page].tail = kHeaderBytes;
  return true;
}

bool TrampolineSpace::free_here(Address page, std::size_t begin, std::size_t end) const {
  const auto it = pages_.find(page);
  if (it == pages_.end())
    return true; // to be mapped
  if (begin < kHeaderBytes)
    return false;
  const auto& used = it->second.used;
  auto next = used.lower_bound(static_cast<std::uint16_t>(begin));
  if (next != used.end() && next->first < end)
    return false;
  return next == used.begin() || std::prev(next)->second <= begin;
}

void TrampolineSpace::take(Address page, std::size_t begin, std::size_t end) {
  Page& p = pages_.at(page);
  p.used[static_cast<std::uint16_t>(begin)] = static_cast<std::uint16_t>(end);
  p.tail = std::max(p.tail, end);
}

std::expected<Address, Error> TrampolineSpace::reserve(Address near, std::size_t bytes) {
  const auto fits = [&](Address page) {
    const auto it = pages_.find(page);
    return it != pages_.end() && in_slot_reach(page, near) &&
           ((it->second.tail + 15) & ~std::size_t{15}) + bytes <= kPageBytes;
  };
  if (!fits(last_)) {
    const auto there = std::ranges::find_if(pages_, [&](const auto& page) { return fits(page.first); });
    last_ = there != pages_.end() ? there->first : Address{};
  }
  if (last_ == Address{}) {
    for (const Address candidate : free_pages_near(AddressSpace::read(), near)) {
      int error = 0;
      if (map_page(candidate, error)) {
        last_ = candidate;
        break;
      }
      if (error == ENOMEM)
        return failure(ErrorKind::MappingLimit, near,
                       "no trampoline page: out of memory, or vm.max_map_count is reached");
    }
    if (last_ == Address{})
      return failure(ErrorKind::NoRoom, near, "no free page in reach for a trampoline");
  }
  const std::size_t begin = (pages_.at(last_).tail + 15) & ~std::size_t{15}; // aligned for the fetch
  take(last_, begin, begin + bytes);
  return last_ + static_cast<std::ptrdiff_t>(begin);
}

bool TrampolineSpace::reserve_at(Address at, std::size_t bytes) {
  const Address end = at + static_cast<std::ptrdiff_t>(bytes);
  if (offset_in_page(at) < kHeaderBytes || page_of(end - 1) != page_of(at) ||
      !free_here(page_of(at), offset_in_page(at), offset_in_page(at) + bytes))
    return false;
  int error = 0;
  if (!pages_.contains(page_of(at)) && !map_page(page_of(at), error))
    return false;
  take(page_of(at), offset_in_page(at), offset_in_page(at) + bytes);
  return true;
}

Status TrampolineSpace::set_mode(std::uint32_t mode) {
  mode_ = mode;
  std::array<std::uint8_t, sizeof mode> bytes{};
  std::memcpy(bytes.data(), &mode, sizeof mode);
  for (const auto& [page, content] : pages_)
    pending_.add(page, bytes);
  return flush();
}

void TrampolineSpace::release_all() noexcept {
  for (const auto& [page, content] : pages_)
    ::munmap(bytes_at(page), kPageBytes);
  pages_.clear();
  pending_.clear();
  last_ = Address{};
}

} // namespace proberace
