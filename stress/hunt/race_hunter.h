// Hunts for a program and a schedule that break: RapidCheck invents and shrinks programs, a scheduler looks
// for the schedule of each, and what is found is brought to few preemptions.
#pragma once

#include "stress/hunt/hunt_counts.h"
#include "stress/scenario/controlled.h"
#include "stress/scenario/program_generator.h"

#include <functional>

namespace proberace {

struct RaceHuntOptions {
  ProgramBounds bounds{};
  Exploration exploration{}; // of each program; its seed is the hunt's own
  std::chrono::milliseconds budget{10'000};
  std::uint64_t seed = 0;
  std::string property{};       // only what breaks this one is looked for; empty for any
  std::uint64_t stop_after = 0; // schedules; 0 for the budget alone
  std::uint64_t programs = 0;   // at most; 0 for the budget alone
  std::function<bool(const Verdict&)> worth_shrinking{};    // empty for every counterexample
  std::function<void(const struct RaceReport&)> progress{}; // after each program; may be empty
};

struct Race {
  Program program; // the smallest found, or the first if it was not worth shrinking
  Explored explored;
  std::size_t runs = 1; // of it in one process, each under the schedule, until it breaks
  // Where no schedule alone does it: those of one process, the last of which breaks.
  std::optional<Exploration> series{};
  bool recurs = true; // in a process of its own; what does not may be the machine's doing
};

struct RaceReport : HuntCounts {
  std::uint64_t seed = 0;
  std::uint64_t programs = 0;  // explored before the first failure
  std::uint64_t exhausted = 0; // of them, all schedules within the bound
  std::uint64_t schedules = 0; // run until the first failure, that one included
  std::uint64_t steps = 0;
  std::uint64_t threads = 0;      // the most that a program had
  std::uint64_t most_choices = 0; // the most steps of a schedule at which others could go on
  std::uint64_t knowing = 0;      // schedules chosen in a process that had seen so many (of one program)
  std::uint64_t shrinks = 0;      // programs tried after it
  std::uint64_t refusals = 0;
  std::optional<Verdict> refused{}; // the first program that was
  bool shrunk = false;              // what was found was worth it
  std::optional<Race> found{};
};

// Precondition: start_nursery(), and a program that has its schedule points compiled in. The same seed
// invents the same programs and tries the same schedules, as far as the budget lasts.
RaceReport hunt_races(const RaceHuntOptions& options);

} // namespace proberace
