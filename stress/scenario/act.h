// One thing that a thread of a scenario does, and the table of everything it can do (acts.def).
#pragma once

#include "harness/probe/promises.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace proberace {

class ScenarioRun;
struct Act;

// The operands behind an act's word.
enum class ActForm : std::uint8_t {
  Nothing,    // int3s
  Body,       // change A
  Bodies,     // insert A B
  Runs,       // fork: run A B
  ThreadRuns, // signal 1: run A
  BodyRuns,   // nest A: run B
  Count,      // pause 500
};

enum ActTrait : std::uint32_t {
  kOrdinary = 1, // a third of all scenarios have no others, so that their threads meet often
  kOperates = 2, // inserts or removes
  kStartsThread = 4,
  kCostly = 8,        // one of them takes as long as some twenty others
  kLeaves = 16,       // a signal handler may leave the execution by siglongjmp
  kNeedsHandler = 32, // done only where the strategy calls a hit handler
  kFreeOnly = 64,     // under control, where a scheduler decides how long a thread waits, nothing is done
  kCloses = 128,      // the prober: no other thread may operate
  kFaults = 256,      // its body is the one that can fault
  kLastRound = 512,   // nothing is done in any but the last round
  kReenters = 1024,   // a signal's handler executes probed code, perhaps inside a hit
};

enum class ActKind : std::uint8_t {
#define PROBERACE_ACT(kind, ...) kind,
#include "stress/scenario/acts.def"
#undef PROBERACE_ACT
};

// Does an act of that kind, on the thread of that number.
namespace perform {
#define PROBERACE_ACT(kind, ...) void kind(ScenarioRun& run, std::size_t thread, const Act& act);
#include "stress/scenario/acts.def"
#undef PROBERACE_ACT
} // namespace perform

struct ActRow {
  ActKind kind;
  std::string_view word;
  ActForm form;
  const char* step;
  std::optional<Promise> needs;
  unsigned weight;
  unsigned drawn;
  std::uint32_t traits;
  std::string_view help;
  void (*perform)(ScenarioRun& run, std::size_t thread, const Act& act);

  constexpr bool has(std::uint32_t trait) const noexcept { return (traits & trait) != 0; }
};

// In the order of the enumeration.
inline constexpr std::array kActs{
#define PROBERACE_ACT(kind, word, form, step, needs, weight, drawn, traits, help)                            \
  ActRow{ActKind::kind, word, ActForm::form, step, needs, weight, drawn, traits, help, &perform::kind},
#include "stress/scenario/acts.def"
#undef PROBERACE_ACT
};
inline constexpr std::size_t kActKinds = kActs.size();
constexpr const ActRow& row_of(ActKind kind) noexcept {
  return kActs[static_cast<std::size_t>(kind)];
}

// `times`: until the threads that end by themselves have ended (and, in a free run, kExecutionsAtLeast
// times). Under control once.
inline constexpr std::size_t kUntilDone = 0;
inline constexpr std::size_t kExecutionsAtLeast = 200;

struct Act {
  ActKind kind = ActKind::Run;
  std::vector<std::size_t> bodies{}; // indices into Scenario::bodies
  std::size_t thread = 0;            // of ThreadRuns: whose handler
  std::size_t count = 0;             // of Count
  // For Run alone: how often the bodies are executed in turn, and for how many iterations of an empty loop
  // the thread idles between two executions, at most.
  std::size_t times = 1;
  std::size_t jitter = 0;
  bool operator==(const Act&) const = default;
};

} // namespace proberace
