// Invents scenarios with RapidCheck; its shrinking takes away threads, acts, bodies, probes and rounds.
#pragma once

#include "stress/scenario/scenario.h"

#include <rapidcheck.h>

namespace proberace {

// The same vocabulary for both ways of running. Under control a few threads do a few acts each, so that many
// schedules of them can be tried. In a free run pinned workers execute the bodies until the others are done:
// controllers, which insert and remove, and a thread that starts short-lived ones.
struct ScenarioBounds {
  std::string strategy;
  std::string plan = "across-cores";
  bool controlled = false;
  // Without acts that the strategy does not promise to bear: so far, signals whose handlers hit.
  bool promised = false;
  std::size_t min_threads = 1, max_threads = 3; // in a free run: workers
  std::size_t max_acts = 4;                     // per thread, or per controller
  std::size_t max_bodies = 3;
  std::size_t max_pages = 2;
  // For free runs alone.
  std::size_t max_controllers = 2;
  std::size_t max_rounds = 32;
  std::size_t max_churn = 4;
};

// A free run of up to so many workers.
ScenarioBounds free_bounds(std::string strategy, std::size_t workers = 4);
// A controlled run of up to so many threads.
ScenarioBounds controlled_bounds(std::string strategy, std::size_t threads = 3);

// Of scenarios in a row some have one kind of act often, each another: all kinds that the strategy does have their turn
// once before one has it again.
rc::Gen<Scenario> scenario_generator(const ScenarioBounds& bounds, std::uint64_t ordinal);
// Of any of these.
rc::Gen<Scenario> scenario_generator(const ScenarioBounds& bounds);

} // namespace proberace
