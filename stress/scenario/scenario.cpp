#include "stress/scenario/scenario.h"

#include "harness/base/json.h"
#include "stress/code/body.h"

#include <algorithm>
#include <fmt/format.h>
#include <ostream>

namespace proberace {

namespace {

std::string why_not(const Scenario& s, const Act& act) {
  const ActRow& row = row_of(act.kind);
  for (const std::size_t body : act.bodies)
    if (body >= s.bodies.size())
      return fmt::format("'{}': there is no body {}", text_of(act), letters_of(body));
  if (row.form == ActForm::ThreadRuns && act.thread >= s.threads.size())
    return fmt::format("'{}': there is no thread {}", text_of(act), act.thread);
  if (row.has(kFaults) && s.bodies[act.bodies[0]].body != kFaultingBody)
    return fmt::format("'{}': only the body '{}' can fault", text_of(act), kFaultingBody);
  return {};
}

} // namespace

bool runs_until_done(const ScenarioThread& thread) noexcept {
  return std::ranges::any_of(thread.acts, [](const Act& act) { return act.times == kUntilDone; });
}

bool some_act_has(const ScenarioThread& thread, std::uint32_t traits) noexcept {
  return std::ranges::any_of(thread.acts, [traits](const Act& act) { return row_of(act.kind).has(traits); });
}
bool some_act_has(const Scenario& scenario, std::uint32_t traits) noexcept {
  return std::ranges::any_of(scenario.threads,
                             [traits](const ScenarioThread& thread) { return some_act_has(thread, traits); });
}

std::string why_not(const Scenario& s) {
  if (s.strategy.empty())
    return "it names no strategy";
  if (s.bodies.empty() || s.bodies.size() > kMaxSites)
    return fmt::format("it has {} bodies, not 1 to {}", s.bodies.size(), kMaxSites);
  if (s.threads.empty() || s.threads.size() > kMaxThreads)
    return fmt::format("it has {} threads, not 1 to {}", s.threads.size(), kMaxThreads);
  for (const PlacedName& b : s.bodies)
    if (body_named(b.body) == nullptr)
      return fmt::format("no body is called '{}'", b.body);
  for (const std::size_t body : s.armed)
    if (body >= s.bodies.size())
      return fmt::format("armed: there is no body {}", letters_of(body));
  for (const ScenarioThread& thread : s.threads) {
    if (thread.rounds == 0)
      return "a thread has at least 1 round";
    for (const Act& act : thread.acts)
      if (std::string why = why_not(s, act); !why.empty())
        return why;
  }
  if (some_act_has(s, kCloses) && std::ranges::count_if(s.threads, [](const ScenarioThread& t) {
                                    return some_act_has(t, kOperates | kCloses);
                                  }) > 1)
    return "one thread closes the prober, and another closes, inserts or removes";
  for (const ScenarioThread& thread : s.threads)
    if (runs_until_done(thread) && some_act_has(thread, kCloses))
      return "a thread that runs until the others are done cannot close the prober";
  if (std::ranges::all_of(s.threads, runs_until_done))
    return "every thread runs until the others are done: some must end by itself";
  return {};
}

Json to_json(const Scenario& scenario) {
  Json bodies = Json::array();
  for (const PlacedName& b : scenario.bodies)
    bodies.push_back(b.page == 0 ? b.body : fmt::format("{}@{}", b.body, b.page));
  Json armed = Json::array();
  for (const std::size_t body : scenario.armed)
    armed.push_back(letters_of(body));
  Json threads = Json::array();
  for (const ScenarioThread& thread : scenario.threads) {
    Json acts = Json::array();
    for (const Act& act : thread.acts)
      acts.push_back(text_of(act));
    Json& one = threads.emplace_back(Json::object());
    if (thread.rounds != 1)
      one["rounds"] = thread.rounds;
    if (thread.pinned)
      one["pinned"] = true;
    one["acts"] = std::move(acts);
  }
  Json json{
      {"schema", "proberace/scenario/1"}, {"strategy", scenario.strategy}, {"plan", scenario.plan},
      {"bodies", std::move(bodies)},      {"armed", std::move(armed)},     {"threads", std::move(threads)}};
  for (const ScenarioFlag& flag : kScenarioFlags)
    json[std::string(flag.word)] = scenario.*flag.member;
  return json;
}

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << text_of(scenario);
}

} // namespace proberace
