// check --sequences.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/cli/conditions.h"

#include <string>
#include <vector>

namespace proberace {

class CheckSequences {
public:
  void declare(CLI::App& app);
  bool asked() const { return cases_ != 0; }
  // Starts the nursery.
  Exit run(const std::vector<std::string>& strategies, const Conditions& conditions, bool json,
           Progress& progress) const;

private:
  std::uint64_t cases_ = 0;
};

} // namespace proberace
