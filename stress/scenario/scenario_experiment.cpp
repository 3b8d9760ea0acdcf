#include "stress/scenario/scenario_experiment.h"

#include "harness/base/json.h"
#include "harness/cell/experiment.h"
#include "harness/probe/registry.h"
#include "stress/code/probed_text.h"

#include <fmt/format.h>

namespace proberace {

namespace {

Verdict run_scenario(const Json& parameters, Arena& arena) {
  const auto scenario = scenario_from(parameters.value("scenario", Json()));
  if (!scenario)
    return verdict_of(scenario.error());
  const auto exploration = read_fields<Exploration>(parameters.value("exploration", Json()));
  if (!exploration)
    return verdict_of(exploration.error());
  if (!exploration->is_free() && scenario->threads.size() > kMaxControlledThreads)
    return verdict_of(Error{ErrorKind::BadInput,
                            {},
                            fmt::format("scenario: {} threads are too many to control: at most {}",
                                        scenario->threads.size(), kMaxControlledThreads)});
  std::vector<Placement> placements;
  for (const PlacedName& b : scenario->bodies)
    placements.push_back({body_named(b.body), b.page});
  auto prober = make_prober(scenario->strategy);
  if (!prober)
    return verdict_of(prober.error());
  auto text = Text::make(placements, text_memory_for(**prober));
  if (!text)
    return verdict_of(text.error());
  return (exploration->is_free() ? free_verdict : controlled_verdict)(*scenario, *exploration, arena,
                                                                      std::move(*text), std::move(*prober));
}

const bool registered = register_experiment("scenario", &run_scenario);

} // namespace

} // namespace proberace
