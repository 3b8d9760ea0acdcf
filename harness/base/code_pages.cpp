#include "harness/base/code_pages.h"

#include <algorithm>

namespace proberace {

const std::optional<CodePages::Page>& CodePages::page(Address start) {
  const auto [it, fresh] = pages_.try_emplace(start);
  if (fresh && !reader_(start, it->second.emplace()))
    it->second.reset();
  return it->second;
}

template <typename F> bool CodePages::each(Address from, std::size_t size, F&& on_bytes) {
  for (std::size_t done = 0; done < size;) {
    const Address at = from + static_cast<std::ptrdiff_t>(done);
    const auto& there = page(page_of(at));
    const std::size_t offset = offset_in_page(at);
    const std::size_t n = std::min(size - done, kPageBytes - offset);
    if (!there || !on_bytes(done, std::span(*there).subspan(offset, n)))
      return false;
    done += n;
  }
  return true;
}

bool CodePages::read(Address from, std::span<std::uint8_t> out) {
  return each(from, out.size(), [&](std::size_t done, std::span<const std::uint8_t> bytes) {
    std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(done));
    return true;
  });
}

bool CodePages::holds(Address from, std::span<const std::uint8_t> wanted) {
  return each(from, wanted.size(), [&](std::size_t done, std::span<const std::uint8_t> bytes) {
    return std::ranges::equal(bytes, wanted.subspan(done, bytes.size()));
  });
}

} // namespace proberace
