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

// A given schedule. Where it names a task that cannot run, it is as if it did not.
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

// The steps of another run, of a program that may have lost some of them: whoever stands where that run went
// on next goes on.
class Guided final : public Chooser {
public:
  // Both must outlive it.
  Guided(std::span<const GuideStep> steps, const State& state) : rest_(steps), state_(state) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::span<const GuideStep> rest_;
  const State& state_;
};

// Whether a model's name of a point is this one: models write _ where points have . or -.
bool same_point(std::string_view model, std::string_view point) noexcept;

// The steps of a model, which has some of a run's only: whoever takes the next of them goes on until it has.
class Toward final : public Chooser {
public:
  // Both must outlive it.
  Toward(std::span<const GuideStep> steps, const State& state) : rest_(steps), state_(state) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::span<const GuideStep> rest_;
  const State& state_;
};

// At each step any of the enabled tasks, alike.
class RandomWalk final : public Chooser {
public:
  explicit RandomWalk(std::uint64_t seed) : state_(seed) {}
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::uint64_t state_;
};

// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): the enabled
// task of the highest random priority goes on; at depth - 1 random steps the running task falls below all. Only
// steps at which others can go on are counted and drawn: at any other the running task is the only one, and is
// still the running one at the next of these, where a fall is as good. A bug of that depth in n tasks and k such
// steps is found with probability at least 1 / (n k^(depth - 1)).
class Pct final : public Chooser {
public:
  static constexpr std::size_t kMaxDepth = 8;
  // Precondition: 1 <= depth <= kMaxDepth; `choices` is how many runs of the program have, as far as known.
  Pct(std::uint64_t seed, std::size_t depth, std::size_t choices);
  std::size_t choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept override;

private:
  std::array<std::uint32_t, kMaxTasks> priority_{};
  std::array<std::size_t, kMaxDepth> change_at_{};
  std::size_t changes_ = 0;
  std::size_t choices_ = 0; // so far
};

} // namespace proberace::schedule
