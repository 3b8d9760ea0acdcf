// Judges a hit log afterwards: every execution against the state its site had, every hit against the
// execution it fell in, every window against the operation that opened it, and the log itself against what is
// missing.
#pragma once

#include "harness/base/fields.h"
#include "harness/log/hit_log_reader.h"

#include <cstdint>
#include <string>
#include <vector>

namespace proberace {

struct LogCheck {
  std::uint64_t records = 0;
  std::uint64_t lost = 0; // records that the log itself says are missing
  std::uint64_t executions = 0;
  std::uint64_t must = 0;
  std::uint64_t must_not = 0;
  std::uint64_t unjudged = 0; // next to what was lost, or not ended
  std::uint64_t hits = 0;
  std::uint64_t operations = 0;
  std::uint64_t fault_count = 0;
  std::vector<std::string> faults; // the first kMostFaults

  static constexpr std::size_t kMostFaults = 20;
  bool held() const noexcept { return fault_count == 0; }

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("held", Computed{self.held()});
    field("records", self.records);
    field("lost", self.lost);
    field("executions", self.executions);
    field("must", self.must);
    field("must_not", self.must_not);
    field("unjudged", self.unjudged);
    field("hits", self.hits);
    field("operations", self.operations);
    field("fault_count", self.fault_count);
    field("faults", self.faults);
  }
};

LogCheck check_log(const HitLogReader& log);

} // namespace proberace
