// The finished cases of a long hunt, added up.
#pragma once

#include "stress/hunt/case_directory.h"
#include "stress/hunt/hunt_counts.h"

#include <optional>

namespace proberace {

// An upper bound on the probability that a bug of depth d in n threads and k choices (the most that any
// schedule of the program was seen to have) was missed by so many schedules of PCT: each finds it with
// probability at least 1/(n k^(d-1)) (Burckhardt et al., ASPLOS 2010, theorem 6). Schedules that were chosen
// before k was known do not count; so it says nothing of steps that only the first schedule of a process has
// (first use).
double missed_at_most(std::size_t threads, std::uint64_t choices, std::size_t depth, std::uint64_t schedules);

struct CampaignReport : HuntCounts {
  std::uint64_t cases = 0;
  std::uint64_t schedules = 0; // of controlled hunts
  std::uint64_t exhausted = 0; // cases of which every schedule within the bound was run
  std::uint64_t refused = 0;
  std::vector<Json> broken; // the lines of the cases that broke
  std::uint64_t first_seed = 0, last_seed = 0;
  std::uint64_t missing = 0; // seeds between these two that are not done
  bool nothing_tested() const noexcept { return cases != 0 && refused == cases; }
  // Under PCT: what a bug of the depth looked for was missed with, at most, in the median case and in the
  // worst.
  std::optional<double> missed_median{}, missed_worst{};
};

CampaignReport report_of(const CaseSet& set);
Json to_json(const CampaignReport& report, const Json& campaign);
std::string text_of(const CampaignReport& report, const Json& campaign);

} // namespace proberace
