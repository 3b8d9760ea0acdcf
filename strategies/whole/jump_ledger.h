// The hits of one site of `jump`, over its insertions and removals.
//
// A thread may have left the site before its removal and count after it. So the count is frozen at removal,
// and counts that come late stay out of it.
#pragma once

#include <cstdint>
#include <map>
#include <sys/types.h>

namespace proberace {

class JumpLedger {
public:
  using Counts = std::map<pid_t, std::uint64_t>; // as ThreadRecords::by_thread gives them

  bool armed() const noexcept { return armed_; }
  // `raw` are the site's counters now.
  void begin(const Counts& raw);
  void end(Counts raw);
  // The site's hits; `raw` matters only while it is armed.
  std::uint64_t total(const Counts& raw) const;
  std::uint64_t of_thread(const Counts& raw, pid_t thread) const;

private:
  bool armed_ = false;
  Counts frozen_; // at the last removal
  Counts late_;
  std::uint64_t late_sum_ = 0;
};

} // namespace proberace
