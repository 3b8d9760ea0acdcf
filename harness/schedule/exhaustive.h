// Every schedule of a program within a bound on preemptions, one after the other, by depth-first search over
// what each run could have chosen (iterative context bounding: Musuvathi, Qadeer, PLDI 2007). Nothing is kept
// but the path to the run before: the program itself is run again from its start.
#pragma once

#include "harness/schedule/schedule.h"

namespace proberace::schedule {

class Exhaustive {
public:
  explicit Exhaustive(std::size_t preemptions) : bound_(preemptions) {}

  // The schedule to run next.
  const Schedule& next() const noexcept { return schedule_; }
  // Takes what the run of next() did, and makes next() the one after it. False once there is none. A run that did not
  // go where next() led is taken for the program from there on: it has other steps than when it was run before.
  bool advance(std::span<const Step> steps);
  // Whether every run went where it was led. Else "there is none" does not mean that all were run. Where it is true it
  // means so of programs whose runs have the same steps: what the first run alone lacks (first use) may lie behind a
  // choice that no later run comes to, and is missed unseen.
  bool led_all() const noexcept { return led_all_; }

private:
  // A choice on the path: the tasks not tried there yet, after the one that was.
  struct Branch {
    Step step;
    TaskSet untried = 0;
    std::size_t preemptions_before = 0;
  };

  std::size_t bound_;
  std::vector<Branch> path_;
  Schedule schedule_;
  bool led_all_ = true;
};

} // namespace proberace::schedule
