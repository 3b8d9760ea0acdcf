// What a thread has of signals for itself: no strategy may change it.
#pragma once

#include <cstdint>
#include <string>

namespace proberace {

struct SignalState {
  std::uint64_t mask = 0;
  std::uintptr_t stack = 0; // the alternate one
  std::size_t stack_bytes = 0;
  int stack_flags = 0;

  static SignalState of_this_thread() noexcept;
  // "" if equal, else one line that says what differs.
  std::string difference(const SignalState& later) const;
};

} // namespace proberace
