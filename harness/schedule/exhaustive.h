// Every schedule of a program within a bound on preemptions, one after the other, by depth-first search over
// the choices of each run (iterative context bounding: Musuvathi, Qadeer, PLDI 2007). Only the path to the
// previous run is kept: the program itself is run again from its start.
//
// Work done on first use (a record that is mapped, a page that is made private) gives the first runs steps
// that later runs lack. So the default schedule is run until it repeats itself before the search starts, and
// once more after it; and the search begins again when a run's steps differ from those it had before.
#pragma once

#include "harness/schedule/schedule.h"

namespace proberace::schedule {

class Exhaustive {
public:
  // A search is given up after it had to begin again this often.
  static constexpr std::size_t kMostChanges = 16;

  explicit Exhaustive(std::size_t preemptions) : bound_(preemptions) {}

  // The schedule to run next.
  const Schedule& next() const noexcept { return schedule_; }
  // Takes the steps of the run of next(), and moves next() to the following schedule. False once there is
  // none.
  bool advance(std::span<const Step> steps);
  // True if advance() returned false because every schedule was run. This holds for a program whose runs
  // repeat themselves: if a single run lacked a step, the choices at that step were not tried, and nothing
  // shows it.
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
