// A counterexample of Spin's in a protocol's model (stress/models/) as what it says of the code: a program,
// and the steps of its threads.
#pragma once

#include "harness/schedule/chooser.h"
#include "stress/program/controlled.h"

namespace proberace {

struct ModelTrail {
  Program program;
  std::vector<schedule::GuideStep> steps{};
};

// Has Spin read `trail` again, of the model `model` (with FRESH defined) without these of its guards.
// MachineLacks if there is no Spin; BadInput, with what is wrong, for files that are not what they should be.
std::expected<ModelTrail, Error> read_trail(const std::string& trail, const std::string& model,
                                            const std::vector<std::string>& without);

// How many of the trail's steps the run has taken, in their order: up to the first that the code could not
// take there, because it waits where the model goes on, or has failed.
std::size_t steps_taken(const ModelTrail& trail, std::span<const TakenStep> run) noexcept;

} // namespace proberace
