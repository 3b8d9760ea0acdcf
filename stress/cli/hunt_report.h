// A hunt's report, for people and as JSON.
#pragma once

#include "stress/hunt/scenario_hunt.h"

#include <string>

namespace proberace {

// `file`: where the counterexample was saved; "" if none was.
Json to_json(const ScenarioHuntReport& report, const ScenarioHuntOptions& options, const std::string& file);
std::string text_of(const ScenarioHuntReport& report, const ScenarioHuntOptions& options,
                    const std::string& file);

} // namespace proberace
