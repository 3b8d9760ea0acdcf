// A site: one instruction in one mapping. Not a bare number: an address that was unmapped and mapped again,
// or rewritten by a JIT, is another site, and a probe meant for the old one must not land on it (H15).
#pragma once

#include "harness/base/address.h"

#include <compare>
#include <cstdint>

namespace proberace {

struct Site {
  Address address{};
  std::uint64_t device = 0;      // of the mapped file; 0 for anonymous memory
  std::uint64_t inode = 0;       // of the mapped file; 0 for anonymous memory
  std::uint64_t file_offset = 0; // of this byte in the file, in bytes
  std::uint64_t generation = 0;  // of the function range it lies in, see FunctionIndex

  auto operator<=>(const Site&) const = default;
};

} // namespace proberace
