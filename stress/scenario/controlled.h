// Controlled runs of a program in a cell: which schedules are tried, and what came of them.
#pragma once

#include "harness/schedule/chooser.h"
#include "stress/scenario/program.h"

#include <chrono>

namespace proberace {

enum class SchedulerKind {
  Random,
  Pct,
  Exhaustive,
  Given,
  Mixed,  // random and pct of several depths by turns: for shrinking
  Guided, // the steps of another program's run, as far as they are there
  Toward, // the steps of a model's run, which leaves some out
};

struct Exploration {
  SchedulerKind scheduler = SchedulerKind::Random;
  std::uint64_t seed = 0;                   // of the first schedule; each later one adds one
  std::size_t schedules = 1000;             // at most
  std::size_t depth = 3;                    // of Pct
  std::size_t preemptions = 2;              // bound of Exhaustive
  schedule::Schedule given{};               // of Given
  std::vector<schedule::GuideStep> guide{}; // of Guided and Toward
  std::string record{};                     // a file for the steps of each schedule; none if empty
  std::chrono::milliseconds budget{10'000};
};

struct TakenStep {
  std::string name;
  Address site{};
  std::size_t task = 0;
  std::size_t before = 0;
  bool preempted = false;
};

struct Explored {
  Verdict verdict;                       // of all schedules, or of the one that broke; data counts them
  schedule::Schedule schedule{};         // the last one that ran: the one that broke
  std::vector<TakenStep> steps{};        // its steps
  std::optional<std::size_t> violated{}; // the step at which what broke was seen
  std::uint64_t schedules = 0;
  bool exhausted = false; // Exhaustive: every schedule within the bound was run
};

std::string_view name(SchedulerKind kind) noexcept;
// BadInput with the names there are.
std::expected<SchedulerKind, Error> scheduler_named(std::string_view name);

// "12:1,15:0": at step 12 task 1 goes on, at step 15 task 0.
std::string text_of(const schedule::Schedule& schedule);
std::expected<schedule::Schedule, Error> schedule_from(std::string_view text);

// Precondition: start_nursery(), and a program that has its schedule points compiled in.
Explored explore(const Program& program, const Exploration& exploration);

} // namespace proberace
