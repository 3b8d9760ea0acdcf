#include "stress/scenario/interleaving.h"

#include "harness/result/table.h"

#include <fmt/format.h>
#include <set>

namespace proberace {

namespace {

// The scenario's threads, and those they started that took a step.
std::vector<std::size_t> tasks_of(const Scenario& scenario, const Explored& explored) {
  std::set<std::size_t> tasks;
  for (std::size_t t = 0; t < scenario.threads.size(); ++t)
    tasks.insert(t);
  for (const TakenStep& step : explored.steps)
    tasks.insert(step.task);
  return {tasks.begin(), tasks.end()};
}

std::string name_of_task(const Scenario& scenario, std::size_t task) {
  const std::size_t threads = scenario.threads.size();
  return task < threads ? fmt::format("thread {}", task) : fmt::format("of thread {}", task - threads);
}

} // namespace

std::string text_of(const Scenario& scenario, const Explored& explored) {
  std::vector<std::string> header{"step"};
  const std::vector<std::size_t> tasks = tasks_of(scenario, explored);
  for (const std::size_t t : tasks)
    header.push_back(name_of_task(scenario, t));
  header.emplace_back();
  Table table(header, {true});
  for (std::size_t i = 0; i < explored.steps.size(); ++i) {
    const TakenStep& step = explored.steps[i];
    std::vector<std::string> row{std::to_string(i)};
    for (const std::size_t t : tasks)
      row.push_back(t == step.task ? step.name + (step.body ? " " + letters_of(*step.body) : "") : "");
    row.push_back(explored.violated == i ? fmt::format("<-- {}", explored.verdict.summary)
                  : step.preempted       ? "(preempted)"
                                         : "");
    table.add(std::move(row));
  }
  return text_of(scenario) + table.text();
}

Json chrome_trace(const Scenario& scenario, const Explored& explored) {
  Json events = Json::array();
  for (const std::size_t t : tasks_of(scenario, explored))
    events.push_back(Json{{"name", "thread_name"},
                          {"ph", "M"},
                          {"pid", 1},
                          {"tid", t},
                          {"args", {{"name", name_of_task(scenario, t)}}}});
  for (std::size_t i = 0; i < explored.steps.size(); ++i) {
    const TakenStep& step = explored.steps[i];
    events.push_back(Json{{"name", step.name},
                          {"cat", explored.violated == i ? "violated" : "step"},
                          {"ph", "X"},
                          {"ts", i},
                          {"dur", 1},
                          {"pid", 1},
                          {"tid", step.task},
                          {"args", {{"site", fmt::format("{:#x}", value(step.site))}}}});
    if (explored.violated == i)
      events.push_back(Json{{"name", explored.verdict.summary},
                            {"ph", "i"},
                            {"s", "g"},
                            {"ts", i},
                            {"pid", 1},
                            {"tid", step.task}});
  }
  return Json{{"traceEvents", std::move(events)}};
}

} // namespace proberace
