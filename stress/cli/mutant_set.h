// The seeded bugs of stress/mutants/, and the programs built of them.
#pragma once

#include "harness/base/error.h"

#include <string>
#include <vector>

namespace proberace {

struct Mutant {
  std::string name;
  std::string hazards, strategy, expected; // of the patch's head
  std::size_t patch = 0;                   // a hash of all of it: comparable in one build

  static constexpr std::string_view kNotObservable = "not-observable";
  bool observable() const { return expected != kNotObservable; }
  // The path of its program, once it is built.
  std::string program() const;
};

// How many schedules of each scenario a hunt in a mutant tries: small scenarios show bugs early, or not at
// all.
inline constexpr int kSchedulesPerScenario = 200;

// Sorted by name; none if the program was not built here (it is installed elsewhere).
std::vector<Mutant> all_mutants();

// A mutant of a patch that is not in the tree; `strategy` if its head names none. The patch is copied to the build
// folder, with a "Builds:" line for each file of harness/ and strategies/ that includes a header it touches. BadInput
// if it does not apply, if it names no strategy, or if a mutant of the tree has its name.
std::expected<Mutant, Error> take_patch(const std::string& file, const std::string& strategy);

// Takes all such copies away: the build has no such targets then.
void forget_patches();

// All at once, so that the build tool keeps every processor busy; what fails to build is not there
// afterwards.
void build(const std::vector<Mutant>& mutants);

} // namespace proberace
