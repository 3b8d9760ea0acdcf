// A counterexample of Spin's in a protocol's model (stress/models/) as what it says of the code: a scenario,
// and the steps of its threads.
#pragma once

#include "harness/schedule/chooser.h"
#include "stress/scenario/explore.h"

#include <set>

namespace proberace {

struct ModelTrail {
  Scenario scenario;
  std::vector<schedule::GuideStep> steps{};
  std::set<std::string> points{}; // that the model has steps of
};

// Has Spin read `trail` again, of the model `model` (with FRESH defined) without these of its guards.
// MachineLacks if there is no Spin; BadInput, with what is wrong, for files that are not what they should be.
std::expected<ModelTrail, Error> read_trail(const std::string& trail, const std::string& model,
                                            const std::vector<std::string>& without);

// For the code: each thread goes to its first act, and then they take the trail's steps.
std::vector<schedule::GuideStep> guide_of(const ModelTrail& trail);

// How many of the trail's steps the run has taken: up to the first place where it took another of the model's
// points instead, because it waits where the model continues, or ended, because it has failed.
std::size_t steps_taken(const ModelTrail& trail, std::span<const TakenStep> run) noexcept;

} // namespace proberace
