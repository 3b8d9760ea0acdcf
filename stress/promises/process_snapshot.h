// This process as seen from outside: everything a prober may change in it. Compared before, while and after,
// it is the footprint as observed, beside the one a prober reports of itself.
#pragma once

#include "harness/base/fields.h"
#include "harness/base/signal_action.h"

#include <cstdint>
#include <vector>

namespace proberace {

struct ProcessSnapshot {
  std::int64_t mappings = 0;
  std::int64_t executable_mappings = 0;
  std::int64_t writable_executable_bytes = 0;
  std::int64_t private_text_pages = 0; // of file-backed, executable mappings that are not writable
  std::int64_t signal_handlers = 0;    // in a difference: signals whose action changed
  std::int64_t descriptors = 0;
  std::int64_t processes = 0; // children of this one, and processes that trace one of its threads

  std::vector<SignalAction> actions; // by signal

  static ProcessSnapshot look();
  ProcessSnapshot operator-(const ProcessSnapshot& before) const;
  bool operator==(const ProcessSnapshot&) const = default;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("mappings", self.mappings);
    field("executable_mappings", self.executable_mappings);
    field("writable_executable_bytes", self.writable_executable_bytes);
    field("private_text_pages", self.private_text_pages);
    field("signal_handlers", self.signal_handlers);
    field("descriptors", self.descriptors);
    field("processes", self.processes);
  }
};

} // namespace proberace
