// `hunt --scheduler`: controlled schedules of invented programs.
#pragma once

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "stress/hunt/race_hunter.h"

namespace proberace {

class HuntRaces {
public:
  void declare(CLI::App& app);
  bool asked() const noexcept { return !scheduler_.empty(); }
  // What is hunted and how. Errors: no such scheduler, no points in the strategy. Returns in a program that
  // has schedule points compiled in, or not at all.
  std::expected<RaceHuntOptions, Error> options(const std::string& strategy, std::size_t threads) const;
  Exit run(RaceHuntOptions options, bool json, Progress& progress) const;
  // Whether counterexamples can be written: asked before the work, not after it.
  Status try_out() const;

  // For a long hunt: the same as its campaign, and one case of it, whose counterexample is kept in a file if
  // it is the first of its kind, or does not recur, or all are kept. Precondition of the case:
  // start_nursery().
  Json campaign(const RaceHuntOptions& options) const;
  std::expected<Json, Error> run_case(RaceHuntOptions options, bool keep_all) const;

private:
  std::expected<std::string, Error> save(const Race& race, std::uint64_t seed) const;

  std::string scheduler_;
  std::size_t depth_ = 3;
  std::size_t preemptions_ = 2;
  std::size_t per_program_ = 500;
  std::uint64_t schedules_ = 0;
  std::string property_;
  std::string out_ = ".";
};

} // namespace proberace
