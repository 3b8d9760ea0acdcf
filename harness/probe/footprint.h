// The changes that a prober has made to the process that hosts it, counted.
#pragma once

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

  Footprint& operator+=(const Footprint& o) noexcept {
    mappings += o.mappings;
    mapped_bytes += o.mapped_bytes;
    private_pages += o.private_pages;
    slots += o.slots;
    residue_slots += o.residue_slots;
    signal_handlers += o.signal_handlers;
    descriptors += o.descriptors;
    processes += o.processes;
    thread_bytes += o.thread_bytes;
    writable_executable_bytes += o.writable_executable_bytes;
    return *this;
  }
  bool operator==(const Footprint&) const = default;
};

} // namespace proberace
