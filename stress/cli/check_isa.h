// check --isa.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"

#include <string>
#include <vector>

namespace proberace {

class CheckIsa {
public:
  void declare(CLI::App& app);
  bool asked() const { return asked_; }
  // Starts the nursery.
  Exit run(const std::vector<std::string>& strategies, std::uint64_t seed, bool json,
           Progress& progress) const;

private:
  Exit replay(const std::vector<std::string>& strategies) const;

  bool asked_ = false;
  std::uint64_t cases_ = 10'000;
  std::string case_;
  std::vector<std::string> mnemonics_;
};

} // namespace proberace
