// Code on its way into memory: writes of a batch that adjoin within a page become one system call.
#pragma once

#include "harness/base/error.h"

#include <map>
#include <span>
#include <vector>

namespace proberace {

class PendingCode {
public:
  // Precondition: the bytes lie on one page. Later bytes win over earlier ones at the same address.
  void add(Address at, std::span<const std::uint8_t> code);
  // On success all that was ever added is in memory; on failure what is not is kept, and tried again by the
  // next flush. Does not serialise cores.
  Status flush();
  void clear() noexcept { runs_.clear(); }

private:
  std::map<Address, std::vector<std::uint8_t>> runs_; // by first address; none overlap or adjoin on a page
};

} // namespace proberace
