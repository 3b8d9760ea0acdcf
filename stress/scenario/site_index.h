// Which site of a run was hit: its place in the list of sites. signal-safe.
#pragma once

#include "harness/code/site.h"

#include <algorithm>
#include <vector>

namespace proberace {

class SiteIndex {
public:
  SiteIndex() = default;
  explicit SiteIndex(const std::vector<Site>& sites) {
    for (const Site& site : sites)
      addresses_.push_back(site.address);
  }
  // signal-safe. The number of sites if this is no site of the run.
  std::size_t index_of(const Site& site) const noexcept {
    return static_cast<std::size_t>(std::ranges::find(addresses_, site.address) - addresses_.begin());
  }

private:
  std::vector<Address> addresses_;
};

} // namespace proberace
