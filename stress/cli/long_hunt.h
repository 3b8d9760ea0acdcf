// `hunt --resume`: a hunt that keeps what it has done.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/hunt/campaign.h"

namespace proberace {

class LongHunt {
public:
  void declare(CLI::App& app);
  bool asked() const noexcept { return !directory_.empty(); }
  // BadInput if its options were given without --resume, or make no sense. `seed`: where to begin without
  // --seeds.
  Status check(std::optional<std::uint64_t> seed);
  // Precondition: no nursery was started, and check(). `campaign` says what is hunted and how; `pinned` is as
  // CampaignOptions has it.
  Exit run(Json campaign, const RunCase& run_case, std::chrono::milliseconds budget, bool pinned, bool json,
           Progress& progress) const;

private:
  std::uint64_t left_of(const CaseSet& set) const; // cases asked for that are not done

  std::string directory_;
  std::size_t jobs_ = 1;
  std::string range_;
  SeedRange seeds_{};
};

} // namespace proberace
