// check --workload.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/cli/conditions.h"

#include <string>
#include <vector>

namespace proberace {

class CheckWorkload {
public:
  void declare(CLI::App& app);
  bool asked() const { return !workloads_.empty(); }
  // Starts the nursery.
  Exit run(const std::vector<std::string>& strategies, const Conditions& conditions, bool json,
           Progress& progress) const;

private:
  std::vector<std::string> workloads_;
  std::size_t subsets_ = 3;
};

} // namespace proberace
