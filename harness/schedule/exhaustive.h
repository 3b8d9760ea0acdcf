// Every schedule of a program within a bound on preemptions, one after the other, by depth-first search over
// what each run could have chosen (iterative context bounding: Musuvathi, Qadeer, PLDI 2007). Nothing is kept
// but the path to the run before: the program itself is run again from its start.
//
// What is done on first use makes runs that later ones do not repeat. So the schedule that chooses nothing is
// run until it repeats itself before the search starts, and once more behind it; and the search begins again
// where a run has other steps than it had before.
#pragma once

#include "harness/schedule/schedule.h"

namespace proberace::schedule {

class Exhaustive {
public:
  // A search that was thrown back so often by runs that were not as before is given up.
  static constexpr std::size_t kMostChanges = 16;

  explicit Exhaustive(std::size_t preemptions) : bound_(preemptions) {}

  // The schedule to run next.
  const Schedule& next() const noexcept { return schedule_; }
  // Takes what the run of next() did, and makes next() the one after it. False once there is none.
  bool advance(std::span<const Step> steps);
  // Whether, there being none, all were run. Of a program whose runs repeat themselves, that is: where one
  // run alone lacked a step, what it could have chosen there was not tried, and nothing shows it.
  bool exhausted() const noexcept { return exhausted_; }

private:
  // A choice on the path: the tasks not tried there yet, after the one that was.
  struct Branch {
    Step step;
    TaskSet untried = 0;
    std::size_t preemptions_before = 0;
  };

  bool begin_again();
  bool went_along_path(std::span<const Step> steps);
  void extend_path(std::span<const Step> steps);
  bool take_next_branch();

  enum class Phase : std::uint8_t { Settling, Searching, Confirming };

  std::size_t bound_;
  std::size_t changes_ = 0;
  Phase phase_ = Phase::Settling;
  bool exhausted_ = false;
  std::vector<Step> default_; // the steps of the run that chooses nothing
  std::vector<Branch> path_;
  Schedule schedule_;
};

} // namespace proberace::schedule
