#include "harness/schedule/chooser.h"

#include "harness/base/random.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

namespace proberace::schedule {

std::size_t Following::choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept {
  while (!rest_.empty() && rest_.front().step < step)
    rest_ = rest_.subspan(1);
  if (!rest_.empty() && rest_.front().step == step && has(enabled, rest_.front().task))
    return rest_.front().task;
  return default_choice(before, enabled);
}

std::size_t Guided::choose(std::size_t, std::size_t before, TaskSet enabled) noexcept {
  for (std::size_t i = 0; i < rest_.size(); ++i)
    if (has(enabled, rest_[i].task) && rest_[i].name == state_.tasks[rest_[i].task].at) {
      const std::size_t task = rest_[i].task;
      rest_ = rest_.subspan(i + 1);
      return task;
    }
  return default_choice(before, enabled);
}

bool same_point(std::string_view model, std::string_view point) noexcept {
  return std::ranges::equal(model, point,
                            [](char m, char p) { return m == p || (m == '_' && (p == '.' || p == '-')); });
}

std::size_t Toward::choose(std::size_t, std::size_t before, TaskSet enabled) noexcept {
  if (rest_.empty() || !has(enabled, rest_.front().task))
    return default_choice(before, enabled);
  const std::size_t task = rest_.front().task;
  if (same_point(rest_.front().name, state_.tasks[task].at))
    rest_ = rest_.subspan(1);
  return task;
}

std::size_t RandomWalk::choose(std::size_t, std::size_t, TaskSet enabled) noexcept {
  auto nth = next_number(state_) % static_cast<std::uint64_t>(std::popcount(enabled));
  TaskSet rest = enabled;
  for (; nth != 0; --nth)
    rest = static_cast<TaskSet>(rest & (rest - 1));
  return static_cast<std::size_t>(std::countr_zero(rest));
}

Pct::Pct(std::uint64_t seed, std::size_t depth, std::size_t choices) : changes_(depth - 1) {
  for (std::size_t i = 0; i < kMaxTasks; ++i)
    priority_[i] = static_cast<std::uint32_t>(kMaxDepth + i);
  for (std::size_t i = kMaxTasks - 1; i > 0; --i)
    std::swap(priority_[i], priority_[next_number(seed) % (i + 1)]);
  for (std::size_t i = 0; i < changes_; ++i)
    change_at_[i] = 1 + next_number(seed) % (choices == 0 ? 1 : choices);
}

std::size_t Pct::choose(std::size_t step, std::size_t before, TaskSet enabled) noexcept {
  choices_ += is_choice(step, before, enabled) ? 1 : 0;
  for (std::size_t i = 0; i < changes_ && is_choice(step, before, enabled); ++i)
    if (change_at_[i] == choices_)
      priority_[before] = static_cast<std::uint32_t>(changes_ - 1 - i);
  std::size_t best = kMaxTasks;
  for (std::size_t task = 0; task < kMaxTasks; ++task)
    if (has(enabled, task) && (best == kMaxTasks || priority_[task] > priority_[best]))
      best = task;
  return best;
}

} // namespace proberace::schedule
