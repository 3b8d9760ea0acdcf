// A schedule as a value: the steps at which another task runs than by default. It is short, and what is left
// after taking a switch away is a schedule too, so it shrinks well.
#pragma once

#include "harness/schedule/trace.h"

#include <vector>

namespace proberace::schedule {

struct Switch {
  std::uint32_t step = 0;
  std::uint8_t task = 0;
  bool operator==(const Switch&) const = default;
};

using Schedule = std::vector<Switch>; // ascending by step

// The schedule that repeats these steps on a program that is otherwise deterministic.
inline Schedule schedule_of(std::span<const Step> steps) {
  Schedule schedule;
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i].task != default_choice(steps[i].before, steps[i].enabled))
      schedule.push_back({static_cast<std::uint32_t>(i), steps[i].task});
  return schedule;
}

// True if another task than the one that ran until here can run, or has to. The first step is not counted.
constexpr bool is_choice(std::size_t step, std::size_t before, TaskSet enabled) noexcept {
  return step != 0 && (enabled & ~only(before)) != 0;
}

inline std::size_t choices_in(std::span<const Step> steps) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < steps.size(); ++i)
    n += is_choice(i, steps[i].before, steps[i].enabled) ? 1 : 0;
  return n;
}

} // namespace proberace::schedule
