#include "stress/program/interleaving.h"

#include "harness/result/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

namespace proberace {

namespace {

// Sites by the number of their first appearance would confuse: an address is shown once, then by its letter.
class Letters {
public:
  std::string of(Address site) {
    if (site == Address{})
      return {};
    const auto [it, fresh] = letters_.try_emplace(site, static_cast<char>('A' + letters_.size() % 26));
    return fmt::format(" {}", it->second);
  }

private:
  std::map<Address, char> letters_;
};

std::string text_of_program(const Program& p) {
  std::string text = fmt::format("{}, bodies:", p.strategy);
  for (std::size_t i = 0; i < p.bodies.size(); ++i)
    text += fmt::format(" {}={}@page{}", i, p.bodies[i].body, p.bodies[i].page);
  if (!p.armed.empty())
    text += fmt::format("; armed before: {}", fmt::join(p.armed, ","));
  if (p.reopened)
    text += "; opened for this run";
  for (std::size_t t = 0; t < p.threads.size(); ++t) {
    std::vector<std::string> acts;
    for (const Act& act : p.threads[t])
      acts.push_back(text_of(act));
    text += fmt::format("\n  thread {}: {}", t, fmt::join(acts, " "));
  }
  return text + "\n  (x executes, + inserts, - removes, !T:B signals thread T, whose handler executes B, f "
                "forks, t starts a thread)\n";
}

} // namespace

std::string text_of(const Program& program, const Explored& explored) {
  std::vector<std::string> header{"step"};
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    header.push_back(fmt::format("thread {}", t));
  header.emplace_back();
  Table table(header, {true});
  Letters letters;
  for (std::size_t i = 0; i < explored.steps.size(); ++i) {
    const TakenStep& step = explored.steps[i];
    std::vector<std::string> row{std::to_string(i)};
    for (std::size_t t = 0; t < program.threads.size(); ++t)
      row.push_back(t == step.task ? step.name + letters.of(step.site) : "");
    row.push_back(explored.violated == i ? fmt::format("<-- {}", explored.verdict.summary)
                  : step.preempted       ? "(preempted)"
                                         : "");
    table.add(std::move(row));
  }
  return text_of_program(program) + table.text();
}

Json chrome_trace(const Program& program, const Explored& explored) {
  Json events = Json::array();
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    events.push_back(Json{{"name", "thread_name"},
                          {"ph", "M"},
                          {"pid", 1},
                          {"tid", t},
                          {"args", {{"name", fmt::format("thread {}", t)}}}});
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
