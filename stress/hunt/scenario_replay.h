// Failing scenarios as counterexample files.
#pragma once

#include "stress/hunt/counterexample.h"
#include "stress/hunt/scenario_hunt.h"

namespace proberace {

// How the schedule of a controlled run is repeated. Absent from the file of a free run.
struct ControlledReplay {
  schedule::Schedule switches{};
  std::size_t runs = 1;                // in one process, each under this schedule, until it breaks
  std::optional<Exploration> series{}; // instead: the schedules of one process, the last of which breaks

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("switches", self.switches, kMayBeMissing);
    field("runs", self.runs, kMayBeMissing, AtLeast{1});
    field("series", self.series, kOmitEmpty);
  }
};

// The steps of the last schedule, and the one at which the fault was seen: for --json.
Json steps_of(const Explored& explored);
Counterexample counterexample_of(const ScenarioFailure& failure, bool free, std::uint64_t seed);

} // namespace proberace
