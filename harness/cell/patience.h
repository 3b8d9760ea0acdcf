// How long a cell may still take. Its deadline is counted in the time that the rest of the machine leaves it, so that
// a busy machine is no hang.
//
// Idea: of the processors' time since the cell began, /proc/stat says what was used, by whomever, or taken by a host
// (steal), and /proc/PID/stat what the cell used; the difference is others'. Where others use all, the cell gets a
// multiple of its deadline, but never more than kMostPatience times as long.
#pragma once

#include <chrono>
#include <cstdint>
#include <sys/types.h>

namespace proberace {

inline constexpr int kMostPatience = 5;

// Processors' time, in clock ticks (sysconf(3), _SC_CLK_TCK).
struct ProcessorTime {
  std::uint64_t all = 0;  // that has passed, on all processors
  std::uint64_t used = 0; // of that, not idle
  std::uint64_t own = 0;  // of that, by one process and its children that it has waited for

  static ProcessorTime now(pid_t process);
};

// What is left of a deadline after `passed`; none or less if it is missed.
std::chrono::milliseconds time_left(std::chrono::milliseconds deadline, std::chrono::milliseconds passed,
                                    const ProcessorTime& begin, const ProcessorTime& now) noexcept;

} // namespace proberace
