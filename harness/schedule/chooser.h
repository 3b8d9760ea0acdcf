// Ways to choose the next task. choose() runs on the thread that gives up the processor: signal-safe.
#pragma once

#include "harness/schedule/schedule.h"
#include "harness/schedule/state.h"

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace proberace::schedule {

class Chooser {
public:
  virtual ~Chooser() = default;
  // Precondition: `enabled` is not empty. signal-safe.
  virtual std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept = 0;
};

// A given schedule. A switch to a task that cannot run is ignored.
class Following final : public Chooser {
public:
  // The switches must outlive it.
  explicit Following(std::span<const Switch> switches) : rest_(switches) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::span<const Switch> rest_;
};

struct GuideStep {
  std::uint8_t task = 0;
  std::string name; // of the point
  bool operator==(const GuideStep&) const = default;
};

// Follows the steps of another run, of which the program may have lost some: the task that stands at the next
// of these steps runs.
class Guided final : public Chooser {
public:
  // Both must outlive it.
  Guided(std::span<const GuideStep> steps, const State& state) : rest_(steps), state_(state) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::span<const GuideStep> rest_;
  const State& state_;
};

// True if a model's name of a point means this one: models write _ where points have . or -.
bool same_point(std::string_view model, std::string_view point) noexcept;

// Follows the steps of a model, which has only some of a run's steps: the task that takes the next one runs
// until it has taken it.
class Toward final : public Chooser {
public:
  // Both must outlive it.
  Toward(std::span<const GuideStep> steps, const State& state) : rest_(steps), state_(state) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::span<const GuideStep> rest_;
  const State& state_;
};

// At each step any of the enabled tasks, each with the same probability.
class RandomWalk final : public Chooser {
public:
  explicit RandomWalk(std::uint64_t seed) : state_(seed) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::uint64_t state_;
};

// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): the enabled
// task of the highest random priority runs; at depth - 1 random steps the running task's priority is lowered
// below all others. Only steps at which another task can run are counted and drawn: at any other step
// lowering the priority has the same effect as lowering it at the next such step. A bug of that depth in n
// tasks and k such steps is found with probability at least 1 / (n k^(depth - 1)).
class Pct final : public Chooser {
public:
  static constexpr std::size_t kMaxDepth = 8;
  // Precondition: 1 <= depth <= kMaxDepth. `choices` is the number of such steps in a run, as far as known.
  Pct(std::uint64_t seed, std::size_t depth, std::size_t choices);
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::array<std::uint32_t, kMaxTasks> priority_{};
  std::array<std::size_t, kMaxDepth> change_at_{};
  std::size_t changes_ = 0;
  std::size_t choices_ = 0; // so far
};

} // namespace proberace::schedule
