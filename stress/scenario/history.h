// A program of threads and events as a value: workers execute bodies, controllers insert and remove probes on
// them. It is generated, shrunk, printed as one line and run again.
#pragma once

#include "harness/cell/cell.h"

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace proberace {

enum class Action { Insert, Remove, Pause };

struct Event {
  Action action = Action::Pause;
  std::vector<std::size_t> sites{}; // indices into History::bodies; of Insert and Remove
  std::size_t executions = 0;       // of Pause: how many executions of all workers to wait for
  bool operator==(const Event&) const = default;
};

struct PlacedName {
  std::string body;
  std::size_t page = 0;
  bool operator==(const PlacedName&) const = default;
};

struct History {
  std::string strategy;
  std::string plan = "across-cores";
  std::size_t threads = 1;                       // workers
  std::vector<PlacedName> bodies;                // each has one site
  std::vector<std::vector<Event>> controllers{}; // each runs its events in order, on a thread of its own
  std::size_t rounds = 1;                        // each controller repeats its events this often
  std::size_t churn = 0;  // threads started, run through every body once, and ended, meanwhile
  std::size_t jitter = 0; // workers idle for up to so many iterations of an empty loop between executions
  bool operator==(const History&) const = default;
};

inline constexpr std::size_t kMaxWorkers = 64;
inline constexpr std::size_t kMaxSites = 64;

// A pause ends after this even if the executions it waits for do not come.
inline constexpr std::chrono::milliseconds kLongestPause{200};

// Its deadline is long enough for all pauses at their longest, one after the other.
CellSpec to_cell(const History& history);
History history_from(const Json& parameters);
// For RapidCheck's report.
std::ostream& operator<<(std::ostream& out, const History& history);

} // namespace proberace
