#include "stress/scenario/interleaving.h"

#include "harness/result/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <set>

namespace proberace {

namespace {

// Sites by letter, in the order of their first appearance: which body was where, the steps do not say.
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
  return text + "\n  (x executes, + inserts, - removes, !T:B signals thread T, whose handler executes B; "
                "jT:B likewise, "
                "and the\n   handler jumps out; n nests, f forks, v vforks, e execs, t starts a thread, k "
                "one that is cancelled, m calls "
                "mprotect,\n   c changes a register, s the PC, i has int3s, d faults. Letters in the table: "
                "sites, as they come)\n";
}

// The program's threads, and those they started that took a step.
std::vector<std::size_t> tasks_of(const Program& program, const Explored& explored) {
  std::set<std::size_t> tasks;
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    tasks.insert(t);
  for (const TakenStep& step : explored.steps)
    tasks.insert(step.task);
  return {tasks.begin(), tasks.end()};
}

std::string name_of_task(const Program& program, std::size_t task) {
  const std::size_t threads = program.threads.size();
  return task < threads ? fmt::format("thread {}", task) : fmt::format("of thread {}", task - threads);
}

} // namespace

std::string text_of(const Program& program, const Explored& explored) {
  std::vector<std::string> header{"step"};
  const std::vector<std::size_t> tasks = tasks_of(program, explored);
  for (const std::size_t t : tasks)
    header.push_back(name_of_task(program, t));
  header.emplace_back();
  Table table(header, {true});
  Letters letters;
  for (std::size_t i = 0; i < explored.steps.size(); ++i) {
    const TakenStep& step = explored.steps[i];
    std::vector<std::string> row{std::to_string(i)};
    for (const std::size_t t : tasks)
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
  for (const std::size_t t : tasks_of(program, explored))
    events.push_back(Json{{"name", "thread_name"},
                          {"ph", "M"},
                          {"pid", 1},
                          {"tid", t},
                          {"args", {{"name", name_of_task(program, t)}}}});
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
