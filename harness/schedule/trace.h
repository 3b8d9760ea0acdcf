// The steps that a controlled run took. Lies in memory that survives the process.
#pragma once

#include "harness/base/address.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace proberace::schedule {

inline constexpr std::size_t kMaxTasks = 16;
inline constexpr std::size_t kMaxSteps = 8192; // of one schedule; a longer one ends as TooLong

using TaskSet = std::uint16_t; // bit n is task n
static_assert(sizeof(TaskSet) * 8 >= kMaxTasks);

constexpr TaskSet only(std::size_t task) noexcept {
  return static_cast<TaskSet>(1U << task);
}
constexpr bool has(TaskSet set, std::size_t task) noexcept {
  return (set & only(task)) != 0;
}

// The task that ran before the first step.
inline constexpr std::uint8_t kNobody = 2 * kMaxTasks - 1; // in no set, and task 0 is next in turn

struct Step {
  const char* name = nullptr; // of the point; a string literal: parent and child are of one image
  Address site{};
  std::uint8_t task = 0;
  std::uint8_t before = 0; // the task that ran until here, or kNobody
  TaskSet enabled = 0;     // the tasks there were to choose from
  bool preempted() const noexcept { return task != before && has(enabled, before); }
};

struct Trace {
  std::atomic<std::uint32_t> length{0};
  Step steps[kMaxSteps];

  std::span<const Step> taken() const noexcept {
    return {steps, length.load(std::memory_order_acquire)}; // pairs with the scheduler's store
  }
};

// The task that runs by default: the one that ran, or the next one in turn.
constexpr std::size_t default_choice(std::size_t before, TaskSet enabled) noexcept {
  std::size_t task = before;
  while (!has(enabled, task))
    task = (task + 1) % kMaxTasks;
  return task;
}

} // namespace proberace::schedule
