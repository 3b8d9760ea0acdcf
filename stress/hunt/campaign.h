// Works through a range of seeds with several processes, each of which takes the next seed that is free.
#pragma once

#include "stress/hunt/case_directory.h"

#include <chrono>
#include <functional>

namespace proberace {

inline constexpr std::uint64_t kLastSeed = UINT64_MAX - 4096; // processes count beyond the end of their range

struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = kLastSeed; // inclusive
};

struct CampaignOptions {
  SeedRange seeds{};
  std::size_t jobs = 1;
  std::chrono::milliseconds budget{}; // no case begins later
  // Each of several jobs stays on a CPU of its own, as far as there are enough: a controlled case needs one
  // CPU, and without pinning the kernel lets two of them share one. A single job is not pinned, because other
  // work may run on the machine.
  bool pinned = false;
};

struct CampaignProgress {
  std::uint64_t finished = 0; // cases, in this run
  std::uint64_t broken = 0;
};

// One case: its seed in, its line out. Runs in a process that does cases one after the other and has a
// nursery. An error ends the hunt.
using RunCase = std::function<std::expected<Json, Error>(std::uint64_t seed)>;

// Precondition: the process is single-threaded and has not started a nursery. Runs what the directory does
// not have yet, until the range is done or the budget is spent. Calls `progress` now and then. The first
// error of any process, or System if one of them died.
Status run_campaign(const CaseDirectory& directory, const CampaignOptions& options, const RunCase& run_case,
                    const std::function<void(const CampaignProgress&)>& progress);

} // namespace proberace
