// What this process looks like from outside: everything a prober may change in it. Compared before, while and
// after, it is the footprint as observed, beside the one a prober reports of itself.
#pragma once

#include "harness/base/signal_action.h"
#include "harness/cell/verdict.h"

#include <cstdint>
#include <vector>

namespace proberace {

struct Landlord {
  std::int64_t mappings = 0;
  std::int64_t executable_mappings = 0;
  std::int64_t writable_executable_bytes = 0;
  std::int64_t private_text_pages = 0; // of file-backed, executable mappings that are not writable
  std::int64_t signal_handlers = 0;    // in a difference: signals whose action changed
  std::int64_t descriptors = 0;
  std::int64_t processes = 0; // children of this one, and processes that trace one of its threads

  std::vector<SignalAction> actions; // by signal

  static Landlord look();
  Landlord operator-(const Landlord& before) const;
  bool operator==(const Landlord&) const = default;
};

Json to_json(const Landlord& landlord);

} // namespace proberace
