// `hunt --scheduler`: controlled schedules of invented programs.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/program/race_hunter.h"

namespace proberace {

class HuntRaces {
public:
  void declare(CLI::App& app);
  bool asked() const noexcept { return !scheduler_.empty(); }
  Exit run(const std::string& strategy, std::size_t threads, std::chrono::milliseconds budget,
           std::uint64_t seed, bool json, Progress& progress) const;

private:
  std::string scheduler_;
  std::size_t depth_ = 3;
  std::size_t preemptions_ = 2;
  std::size_t per_program_ = 500;
  std::uint64_t schedules_ = 0;
  std::string property_;
  std::string out_ = ".";
};

} // namespace proberace
