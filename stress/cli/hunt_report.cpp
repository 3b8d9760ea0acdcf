#include "stress/cli/hunt_report.h"

#include "harness/base/json.h"
#include "harness/probe/registry.h"
#include "stress/scenario/interleaving.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string_view strategy_of(const ScenarioHuntOptions& o) {
  return o.only ? o.only->strategy : o.bounds.strategy;
}

bool promises_exact_counts(std::string_view strategy) {
  const auto prober = make_prober(std::string(strategy));
  return prober && (*prober)->promises().has(Promise::ExactCounts);
}

std::string text_of_failure(const ScenarioHuntReport& r, const ScenarioHuntOptions& o,
                            const std::string& file) {
  const ScenarioFailure& found = *r.found;
  const Verdict& v = found.explored.verdict;
  std::string text = fmt::format("\n{}{}: {}\n", name(v.ending),
                                 v.property.empty() ? "" : " (" + v.property + ")", v.summary);
  text += promises_exact_counts(strategy_of(o))
              ? "the strategy promises that this does not happen: it is a broken promise\n"
              : "the strategy does not promise exact counts with threads: this is a finding, not a broken "
                "promise\n";
  text += o.exploration.is_free() ? text_of(found.scenario) : text_of(found.scenario, found.explored);
  if (!v.evidence.is_null() && o.exploration.is_free())
    text += fmt::format("evidence: {}\n", v.evidence.dump());
  if (!found.recurs)
    text += "it did not recur when it was run again\n";
  if (found.runs > 1)
    text += fmt::format("it took {} runs in one process, each under this schedule\n", found.runs);
  if (!file.empty())
    text += fmt::format("again: proberace replay {}\n", file);
  return text;
}

} // namespace

Json to_json(const ScenarioHuntReport& r, const ScenarioHuntOptions& o, const std::string& file) {
  Json j{{"schema", "proberace/hunt/2"},
         {"strategy", strategy_of(o)},
         {"scheduler", name(o.exploration.scheduler)},
         {"seed", r.seed},
         {"scenarios", r.scenarios},
         {"exhausted", r.exhausted},
         {"refused", r.refusals},
         {"skipped", r.skipped},
         {"schedules", r.schedules},
         {"steps", r.steps},
         {"shrinks", r.shrinks}};
  j.update(r.json());
  j["counterexample"] = nullptr;
  if (r.found)
    j["counterexample"] = Json{{"file", file},
                               {"scenario", to_json(r.found->scenario)},
                               {"schedule", text_of(r.found->explored.schedule)},
                               {"runs", r.found->runs},
                               {"recurs", r.found->recurs},
                               {"steps", r.found->explored.steps.size()},
                               {"verdict", to_json(r.found->explored.verdict)}};
  if (o.only)
    j["data"] = r.data;
  return j;
}

std::string text_of(const ScenarioHuntReport& r, const ScenarioHuntOptions& o, const std::string& file) {
  const bool free = o.exploration.is_free();
  std::string text =
      fmt::format("{}: {} after {}{} scenario{} ({}, seed {})\n", strategy_of(o), r.found ? "BROKEN" : "held",
                  free ? "" : fmt::format("{} schedules of ", r.schedules), r.scenarios,
                  r.scenarios == 1 ? "" : "s", name(o.exploration.scheduler), r.seed);
  if (r.executions == 0 && r.found)
    text += "  the process ended before anything was counted\n";
  else
    text += fmt::format(
        "  {} executions: {:.1f} % must count, {:.1f} % must not, {:.1f} % may; {} hits, {} insertions, "
        "{} removals\n",
        r.executions, share(r.must, r.executions), share(r.must_not, r.executions),
        share(r.may, r.executions), r.hits, r.inserted, r.removed);
  if (r.skipped != 0)
    text += fmt::format("  {} scenarios skipped\n", r.skipped);
  if (r.refusals != r.skipped)
    text +=
        fmt::format("  {} scenarios refused, the first: {}\n", r.refusals - r.skipped, r.refused->summary);
  if (o.exploration.scheduler == SchedulerKind::Exhaustive)
    text += fmt::format("  every schedule with at most {} preemptions was run of {} scenarios\n",
                        o.exploration.preemptions, r.exhausted);
  return r.found ? text + text_of_failure(r, o, file) : text;
}

} // namespace proberace
