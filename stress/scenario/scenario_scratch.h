// The arena's scratch of a scenario's run: it survives the process.
#pragma once

#include "harness/cell/arena.h"
#include "harness/judge/tally.h"
#include "harness/schedule/state.h"
#include "stress/scenario/scenario.h"
#include "stress/scenario/worker.h"

namespace proberace {

// Executions are counted in rows. Each thread of a scenario has four: its own, its signal handlers', that of
// the threads it starts, and its hit handler's. Zero bytes are a valid start.
class Rows {
public:
  static constexpr std::size_t kPerThread = 4;
  explicit constexpr Rows(std::size_t threads) noexcept : threads_(threads) {}

  constexpr std::size_t count() const noexcept { return kPerThread * threads_; }
  constexpr std::size_t own(std::size_t thread) const noexcept { return thread; }
  constexpr std::size_t handler(std::size_t thread) const noexcept { return threads_ + thread; }
  constexpr std::size_t spawned(std::size_t thread) const noexcept { return 2 * threads_ + thread; }
  constexpr std::size_t nested(std::size_t thread) const noexcept { return 3 * threads_ + thread; }
  constexpr std::size_t thread_of(std::size_t row) const noexcept { return row % threads_; }
  // True if hits of the row's executions may lie in another's handler, and so have none of their own.
  constexpr bool nests(std::size_t row, bool signals_may_nest) const noexcept {
    return row >= nested(0) || (signals_may_nest && row >= handler(0) && row < spawned(0));
  }

private:
  std::size_t threads_;
};

struct ScenarioScratch {
  static constexpr std::size_t kRows = Rows::kPerThread * kMaxThreads;

  Address sites[kMaxSites]; // by body
  SiteState states[kMaxSites];
  Tally tallies[kRows][kMaxSites];
  FaultNote notes[kRows];
  std::uint32_t noted_at[kRows]; // the step of a controlled run at which the fault was seen, plus one
  pid_t threads[kMaxThreads];
  std::atomic<std::uint32_t> children_ended; // counts: a child that lives on ends when it has changed
  std::uint32_t signals_sent[kMaxThreads], signals_handled[kMaxThreads];
  // For a controlled run.
  schedule::State schedule;
  std::atomic<std::uint64_t> schedules; // begun
};
static_assert(sizeof(ScenarioScratch) <= Arena::kScratchBytes);
static_assert(ScenarioScratch::kRows <= Arena::kPoints);

inline ScenarioScratch& scenario_scratch(std::byte* scratch) noexcept {
  return *reinterpret_cast<ScenarioScratch*>(scratch);
}

} // namespace proberace
