// Hunts for a history that breaks: RapidCheck invents and shrinks, cells run, the judge judges.
#pragma once

#include "stress/hunt/hunt_counts.h"
#include "stress/scenario/history_generator.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace proberace {

struct HuntOptions {
  HistoryBounds bounds;
  std::chrono::milliseconds budget{10'000};
  std::uint64_t seed = 0;
  int stop_after = 0;                                     // histories; 0 for the budget alone
  std::function<void(const struct HuntReport&)> progress; // after each cell; may be empty
  std::function<bool(const Verdict&)> worth_shrinking{};  // empty for every counterexample
};

struct BrokenHistory {
  History history; // the smallest found, or the first if it was not worth shrinking
  Verdict verdict;
};

struct HuntReport : HuntCounts {
  std::uint64_t seed = 0;
  std::size_t cells = 0;   // run before the first failure
  std::size_t shrinks = 0; // cells run after it
  std::size_t skipped = 0;
  std::optional<Verdict> refused; // the first; a hunt that was refused throughout tested nothing
  bool shrunk = false;            // what was found was worth it
  std::optional<BrokenHistory> found;
};

// The same seed invents the same histories (how threads interleave in them is the machine's).
HuntReport hunt(const HuntOptions& options);

} // namespace proberace
