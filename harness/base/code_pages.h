// Code as it was when first looked at, read page by page: for a batch of sites, which mostly share pages.
#pragma once

#include "harness/base/address.h"

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>

namespace proberace {

class CodePages {
public:
  // Fills `out` with what lies at the address; false if any byte is not readable.
  using Reader = std::function<bool(Address from, std::span<std::uint8_t> out)>;
  explicit CodePages(Reader reader) : reader_(std::move(reader)) {}

  // False if any byte is not readable; then out is unspecified.
  bool read(Address from, std::span<std::uint8_t> out);
  bool holds(Address from, std::span<const std::uint8_t> wanted);
  // Forgets what was read: from now on memory is looked at again.
  void clear() noexcept { pages_.clear(); }

private:
  using Page = std::array<std::uint8_t, kPageBytes>;
  const std::optional<Page>& page(Address start);
  // Calls on_bytes(offset, bytes) for the part on each page; false as soon as that returns false or a page
  // cannot be read.
  template <typename F> bool each(Address from, std::size_t size, F&& on_bytes);

  Reader reader_;
  std::map<Address, std::optional<Page>> pages_; // none where it is not readable
};

} // namespace proberace
