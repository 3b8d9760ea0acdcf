#include "stress/hunt/simpler.h"

#include <algorithm>

namespace proberace {

namespace {

Act executes(std::size_t body) {
  Act act;
  act.bodies = {body};
  return act;
}

void armed_before(const Scenario& scenario, std::vector<Scenario>& all) {
  for (std::size_t t = 0; t < scenario.threads.size(); ++t) {
    const std::vector<Act>& acts = scenario.threads[t].acts;
    for (std::size_t i = 0; i < acts.size(); ++i)
      if (acts[i].kind == ActKind::Insert && (acts.size() > 1 || scenario.threads.size() == 1)) {
        Scenario& s = all.emplace_back(scenario);
        s.threads[t].acts.erase(s.threads[t].acts.begin() + static_cast<std::ptrdiff_t>(i));
        s.armed.insert(s.armed.end(), acts[i].bodies.begin(), acts[i].bodies.end());
      }
  }
}

void plain_acts(const Scenario& scenario, std::vector<Scenario>& all) {
  for (std::size_t t = 0; t < scenario.threads.size(); ++t)
    for (std::size_t i = 0; i < scenario.threads[t].acts.size(); ++i) {
      const Act& act = scenario.threads[t].acts[i];
      if (act.kind != ActKind::Run && !row_of(act.kind).has(kOperates) && !act.bodies.empty())
        all.emplace_back(scenario).threads[t].acts[i] = executes(act.bodies[0]);
    }
}

void fewer_rounds(const Scenario& scenario, std::vector<Scenario>& all) {
  for (std::size_t t = 0; t < scenario.threads.size(); ++t)
    if (scenario.threads[t].rounds > 1)
      all.emplace_back(scenario).threads[t].rounds = 1;
}

void plainer_bodies(const Scenario& scenario, std::vector<Scenario>& all) {
  for (std::size_t b = 0; b < scenario.bodies.size(); ++b)
    for (const PlacedName& plain : {PlacedName{"mov", 0}, PlacedName{scenario.bodies[b].body, 0}})
      if (scenario.bodies[b] != plain)
        all.emplace_back(scenario).bodies[b] = plain;
}

} // namespace

std::vector<Scenario> simpler(const Scenario& scenario) {
  std::vector<Scenario> all;
  armed_before(scenario, all);
  plain_acts(scenario, all);
  fewer_rounds(scenario, all);
  plainer_bodies(scenario, all);
  for (const ScenarioFlag& flag : kScenarioFlags)
    if (scenario.*flag.member)
      all.emplace_back(scenario).*flag.member = false;
  // A body that is to fault cannot be another one.
  std::erase_if(all, [](const Scenario& s) { return !why_not(s).empty(); });
  return all;
}

} // namespace proberace
