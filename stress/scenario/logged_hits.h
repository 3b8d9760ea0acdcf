// A hit handler that also logs each hit on its thread's ring.
#pragma once

#include "harness/log/record_ring.h"
#include "stress/code/mailbox.h"

#include <algorithm>
#include <vector>

namespace proberace {

// What the handler needs to know which site was hit: its index.
class LoggedSites {
public:
  explicit LoggedSites(const std::vector<Site>& sites) {
    for (const Site& site : sites)
      addresses_.push_back(site.address);
  }
  // signal-safe. The number of sites if it is none of them.
  std::size_t index_of(const Site& site) const noexcept {
    return static_cast<std::size_t>(std::ranges::find(addresses_, site.address) - addresses_.begin());
  }

private:
  std::vector<Address> addresses_;
};

// signal-safe. A HitHandler; `sites` is a LoggedSites. The mailbox knows the thread's ring.
inline void stamp_and_log(Hit& hit, void* sites) {
  if (RecordRing* const log = stamp_ticket(hit))
    log->append(RecordKind::Hit, static_cast<const LoggedSites*>(sites)->index_of(hit.site),
                hit.context.get(Register::R11));
}

} // namespace proberace
