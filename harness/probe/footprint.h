// The changes that a prober has made to the process that hosts it, counted.
#pragma once

#include "harness/base/fields.h"

#include <cstdint>

namespace proberace {

struct Footprint {
  std::int64_t mappings = 0;      // mappings made by the prober itself (not those split by them)
  std::int64_t mapped_bytes = 0;  // address space they take
  std::int64_t private_pages = 0; // pages of the target's text that are now private copies
  std::int64_t slots = 0;         // out-of-line slots, live and residue
  std::int64_t residue_slots = 0; // slots of sites that are no longer armed, kept until close
  std::int64_t signal_handlers = 0;
  std::int64_t descriptors = 0;
  std::int64_t processes = 0;
  std::int64_t thread_bytes = 0; // of threads' TLS and stacks that were made executable, in whole pages
  std::int64_t writable_executable_bytes = 0;

  Footprint& operator+=(const Footprint& o) noexcept { return add_fields(*this, o); }
  bool operator==(const Footprint&) const = default;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("mappings", self.mappings);
    field("mapped_bytes", self.mapped_bytes);
    field("private_pages", self.private_pages);
    field("slots", self.slots);
    field("residue_slots", self.residue_slots);
    field("signal_handlers", self.signal_handlers);
    field("descriptors", self.descriptors);
    field("processes", self.processes);
    field("thread_bytes", self.thread_bytes);
    field("writable_executable_bytes", self.writable_executable_bytes);
  }
};

} // namespace proberace
