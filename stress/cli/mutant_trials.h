// `mutants --long`: how soon each way of hunting finds each mutant, over many seeds.
//
// Idea: a trial is a mutant, a way and a seed: a hunt that ends with the first counterexample, without
// shrinking it. Trials are the cases of a campaign, so that an hour of them can be stopped and continued.
// Trade-off: a trial that finds nothing within its budget is known only to need more.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/cli/mutant_set.h"

#include <chrono>

namespace proberace {

struct MutantTrials {
  std::size_t seeds = 10; // of each mutant under each way
  std::chrono::milliseconds budget{10'000};
  std::size_t jobs = 1;
  std::string directory; // where finished trials are kept
};

// Precondition: the mutants are built. Runs the trials that are not done, prints a table or JSON of all.
Exit run_trials(const std::vector<Mutant>& mutants, const MutantTrials& trials, bool json,
                Progress& progress);

} // namespace proberace
