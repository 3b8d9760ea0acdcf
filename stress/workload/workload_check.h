// A workload under strategies: all its sites at once (64 of them for the kernel's own uprobes, and for
// strategies with room for few), then random subsets; and where one of these fails, the fewest sites that
// still do.
#pragma once

#include "harness/cell/verdict.h"
#include "stress/workload/site_ranges.h"

#include <functional>
#include <string>

namespace proberace {

struct WorkloadOptions {
  std::string workload;
  std::vector<std::string> strategies;
  std::size_t threads = 4;
  std::string plan = "oversubscribed";
  std::uint64_t seed = 1;
  std::size_t subsets = 3;
  std::function<void(const std::string&)> progress{}; // may be empty
};

struct GuiltySites {
  SiteRanges sites;
  Verdict verdict;                // of these alone
  std::vector<std::string> lines; // the first of them: function and instruction
};

struct WorkloadRow {
  std::string workload, strategy;
  Verdict whole;                       // with all sites
  std::size_t subsets = 0;             // tried
  std::size_t broken = 0;              // of all of these
  std::optional<GuiltySites> guilty{}; // if any broke, and broke again
  bool held() const { return whole.is(Ending::Held) && broken == 0; }
};

// Precondition: start_nursery().
std::vector<WorkloadRow> check_workload(const WorkloadOptions& options);

// A table, and what refused or broke.
std::string text_of(const std::vector<WorkloadRow>& rows);
Json to_json(const WorkloadRow& row);

} // namespace proberace
