// How a mutant is hunted: in the ways of the product's own generators, one after the other, until one catches it.
#pragma once

#include "stress/cli/mutant_set.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace proberace {

struct Hunted {
  std::string verdict; // caught, missed, not hunted, not-observable, does not build
  std::string property{}, summary{}, file{};
  std::string way{};                                     // that caught it, or the last that was tried
  std::uint64_t schedules = 0, scenarios = 0, cases = 0; // scenarios: of free runs; cases: of one thread
  std::size_t steps = 0;
  int replayed = 0, replays = 0;
  double seconds = 0;
};

struct MutantHunt {
  std::string scheduler = "random"; // of the first way
  std::uint64_t seed = 1;
  long budget_ms = 20'000; // of all ways; builds and shrinking aside
  std::string out;         // the folder for counterexamples
};

enum class MutantWay {
  Controlled, // scenarios, one thread at a time
  Isa,        // single instructions, bare and probed
  Sequences,  // short bodies of code
  Free,       // scenarios, on all processors
};
// Those that need one processor only.
inline constexpr std::array kAlone{MutantWay::Controlled, MutantWay::Isa, MutantWay::Sequences};

// Adds to what is known of the mutant. `on` stands before each command ("taskset -c 0 ").
void hunt_mutant(const Mutant& mutant, MutantWay way, const MutantHunt& hunt, const std::string& on,
                 Hunted& known);

} // namespace proberace
