// The byte at an address.
#pragma once
#include "harness/base/process_memory.h"

namespace proberace {

inline std::uint8_t byte_at(Address a) {
  std::uint8_t byte = 0;
  read_memory(a, {&byte, 1});
  return byte;
}

} // namespace proberace
