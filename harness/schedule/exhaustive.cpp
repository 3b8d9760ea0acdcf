#include "harness/schedule/exhaustive.h"

#include <algorithm>
#include <bit>

namespace proberace::schedule {

namespace {

// The name of a task's point is not known as long as the task was only chosen and has not run.
bool same(const Step& a, const Step& b) noexcept {
  return (a.name == nullptr || a.name == b.name) && a.task == b.task && a.before == b.before &&
         a.enabled == b.enabled;
}

} // namespace

bool Exhaustive::advance(std::span<const Step> steps) {
  if (phase_ != Phase::Searching) {
    if (!std::ranges::equal(default_, steps, same)) {
      default_.assign(steps.begin(), steps.end());
      return begin_again();
    }
    exhausted_ = phase_ == Phase::Confirming;
    if (exhausted_)
      return false;
    phase_ = Phase::Searching;
  }
  if (!went_along_path(steps))
    return begin_again();
  extend_path(steps);
  if (take_next_branch())
    return true;
  phase_ = Phase::Confirming;
  schedule_.clear();
  return true;
}

bool Exhaustive::begin_again() {
  phase_ = Phase::Settling;
  path_.clear();
  schedule_.clear();
  return ++changes_ <= kMostChanges;
}

// Learns the name of the last point on the path, too.
bool Exhaustive::went_along_path(std::span<const Step> steps) {
  if (steps.size() < path_.size())
    return false;
  for (std::size_t i = 0; i < path_.size(); ++i) {
    if (!same(path_[i].step, steps[i]))
      return false;
    path_[i].step = steps[i];
  }
  return true;
}

// Behind the path the run chose by default: there, every other choice is still to be tried if the bound
// allows.
void Exhaustive::extend_path(std::span<const Step> steps) {
  std::size_t preemptions =
      path_.empty() ? 0 : path_.back().preemptions_before + (path_.back().step.preempted() ? 1 : 0);
  for (std::size_t i = path_.size(); i < steps.size(); ++i) {
    const Step& step = steps[i];
    const bool would_preempt = has(step.enabled, step.before);
    const auto others = static_cast<TaskSet>(step.enabled & ~only(step.task));
    path_.push_back({step, would_preempt && preemptions == bound_ ? TaskSet{0} : others, preemptions});
    preemptions += step.preempted() ? 1 : 0;
  }
}

// Leads the next run to the last choice that is left. False if none is.
bool Exhaustive::take_next_branch() {
  while (!path_.empty() && path_.back().untried == 0)
    path_.pop_back();
  if (path_.empty())
    return false;
  Branch& last = path_.back();
  last.step.task = static_cast<std::uint8_t>(std::countr_zero(last.untried));
  last.step.name = nullptr;
  last.untried = static_cast<TaskSet>(last.untried & (last.untried - 1));
  std::vector<Step> steps;
  for (const Branch& branch : path_)
    steps.push_back(branch.step);
  schedule_ = schedule_of(steps);
  return true;
}

} // namespace proberace::schedule
