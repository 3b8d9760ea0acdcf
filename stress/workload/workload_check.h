// A workload under strategies: all its sites at once, then random subsets of them. Where one of these fails, it
// looks for the fewest sites that still fail. A strategy that is slow to remove, or has room for few sites, gets 64.
#pragma once

#include "harness/cell/cell.h"
#include "stress/workload/site_ranges.h"

#include <functional>
#include <optional>
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

struct SitesAtFault {
  SiteRanges sites;
  Verdict verdict;                  // of these alone
  bool recurs = true;               // they failed when run again
  std::vector<std::string> lines{}; // the first of them: function and instruction
  std::string file{};               // where they are kept, if they are (workload_counterexample.h)
};

struct WorkloadRow {
  std::string workload, strategy;
  Verdict whole;                          // with all sites
  std::size_t subsets = 0;                // tried
  std::size_t broken = 0;                 // of all of these
  std::optional<SitesAtFault> at_fault{}; // if any broke
  bool held() const { return whole.is(Ending::Held) && broken == 0; }
};

// The cell of these sites; of all of them, if there are none.
CellSpec workload_cell(const WorkloadOptions& options, const std::string& strategy,
                       const std::optional<SiteRanges>& sites);

// The first of them, a line each: function, place in its file, instruction. Precondition: start_nursery().
std::vector<std::string> sites_in_words(const std::string& workload, const SiteRanges& sites);

// Precondition: start_nursery().
std::vector<WorkloadRow> check_workload(const WorkloadOptions& options);

// A table, and what refused or broke.
std::string text_of(const std::vector<WorkloadRow>& rows);
Json to_json(const WorkloadRow& row);

} // namespace proberace
