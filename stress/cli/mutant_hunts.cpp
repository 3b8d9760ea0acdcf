#include "stress/cli/mutant_hunts.h"

#include "harness/base/shell.h"
#include "harness/cell/endings.h"
#include "harness/cell/verdict.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace proberace {

namespace {

constexpr int kReplays = 100;
constexpr int kFewReplays = 10; // free runs show a race now and then, and a sequence takes long

constexpr int kLongest = 240; // seconds, shrinking included: a mutant may make each case a hang

struct Way {
  MutantWay way;
  double share; // of the budget
  // For ways that end after a number of tries: so many on a slow machine.
  std::uint64_t cases_a_second = 0;
};
constexpr Way kWays[] = {{MutantWay::Controlled, 0.4},
                         {MutantWay::Isa, 0.14, 2'600},
                         {MutantWay::Sequences, 0.06, 12},
                         {MutantWay::Free, 0.4}};

const Way& row_of(MutantWay way) {
  return *std::ranges::find(kWays, way, &Way::way);
}

std::string scheduler_of(MutantWay way, const MutantHunt& hunt) {
  return way == MutantWay::Free ? "free" : hunt.scheduler;
}

std::string command_of(const Mutant& mutant, MutantWay way, const MutantHunt& hunt) {
  const Way& row = row_of(way);
  const double milliseconds = static_cast<double>(hunt.budget_ms) * row.share;
  const auto cases =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(milliseconds) * row.cases_a_second / 1000);
  const std::string common = fmt::format("--strategy '{}' --seed {} --json --out {}/{} 2>/dev/null",
                                         mutant.strategy, hunt.seed, hunt.out, mutant.name);
  switch (way) {
  case MutantWay::Isa:
    return fmt::format("timeout {} {} isa --cases {} {}", kLongest, mutant.program(), cases, common);
  case MutantWay::Sequences:
    return fmt::format("timeout {} {} sequences --cases {} {}", kLongest, mutant.program(), cases, common);
  default:
    return fmt::format("{} hunt --promised --scheduler {} --budget {:.0f}ms --per-scenario {} {}",
                       mutant.program(), scheduler_of(way, hunt), milliseconds, kSchedulesPerScenario,
                       common);
  }
}

// The failure of a report, with "verdict", "file" and, of a scenario, "steps"; null if there is none.
Json failure_of(const Json& report, MutantWay way) {
  const Json rows = report.value("rows", Json::array());
  const Json row = rows.empty() ? Json::object() : rows[0];
  switch (way) {
  case MutantWay::Isa: {
    const Json failures = row.value("failures", Json::array());
    return failures.empty() ? Json() : failures[0];
  }
  case MutantWay::Sequences: return row.value("failure", Json());
  default: return report.value("counterexample", Json());
  }
}

std::string file_of(const Json& failure) {
  return failure.is_object() && failure.at("file").is_string() ? failure.at("file").get<std::string>() : "";
}

void count_tries(const Json& report, MutantWay way, Hunted& known) {
  if (way == MutantWay::Isa || way == MutantWay::Sequences) {
    for (const Json& row : report.value("rows", Json::array()))
      known.cases += way == MutantWay::Isa ? row.at("counts").value("tried", std::uint64_t{0})
                                           : row.value("sequences", std::uint64_t{0});
    return;
  }
  known.schedules += report.value("schedules", std::uint64_t{0});
  known.scenarios += way == MutantWay::Free ? report.value("scenarios", std::uint64_t{0}) : 0;
}

std::string name_of(MutantWay way, const MutantHunt& hunt) {
  switch (way) {
  case MutantWay::Isa: return "isa";
  case MutantWay::Sequences: return "sequences";
  default: return scheduler_of(way, hunt);
  }
}

int reproduced(const std::string& program, const std::string& file, int times, const std::string& on) {
  const Outcome o =
      run_shell(fmt::format("{}{} replay '{}' --times {} --json 2>/dev/null", on, program, file, times));
  const Json replay = Json::parse(o.out, nullptr, false);
  return replay.is_object() ? replay.value("reproduced", 0) : 0;
}

// A strategy may have limits that a hunt finds: those are no catch.
bool breaks_without_the_patch(const std::string& file, const std::string& on) {
  return reproduced(PROBERACE_BUILD "/proberace-controlled", file, kFewReplays, on) != 0;
}

} // namespace

void hunt_mutant(const Mutant& mutant, MutantWay way, const MutantHunt& hunt, const std::string& on,
                 Hunted& known) {
  const auto began = std::chrono::steady_clock::now();
  const Outcome o = run_shell(on + command_of(mutant, way, hunt));
  const Json report = Json::parse(o.out, nullptr, false);
  known.way = name_of(way, hunt);
  // A strategy that takes none of the instructions prints no report of them.
  const bool reports = way == MutantWay::Controlled || way == MutantWay::Free;
  known.verdict = report.is_object() || !reports ? "missed" : "not hunted";
  if (report.is_object()) {
    count_tries(report, way, known);
    // What cannot be run again has no file, and is no catch.
    const Json found = failure_of(report, way);
    if (const std::string file = file_of(found); !file.empty() && !breaks_without_the_patch(file, on)) {
      const Json& verdict = found.at("verdict");
      known.verdict = "caught";
      known.property = what_broke(verdict);
      known.summary = verdict.value("summary", std::string());
      known.steps = found.value("steps", std::size_t{0});
      known.file = file;
    }
  }
  if (!known.file.empty()) {
    known.replays = way == MutantWay::Controlled ? kReplays : kFewReplays;
    known.replayed = reproduced(mutant.program(), known.file, known.replays, on);
  }
  known.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

} // namespace proberace
