// The options that several commands have. Each is called, explained and checked alike in every command.
//
//   options_.declare(app, {Shared::Strategies, Shared::Seed, Shared::AsJson});
//   ...
//   if (const Status usable = options_.check(); !usable)
//     return fail(usable.error());
#pragma once

#include "harness/cli/command.h"

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

enum class Shared {
  Strategy,   // exactly one
  Strategies, // any number: --strategy may be repeated
  All,        // with Strategies: few that have every plug-in among them
  Threads,
  Plan,
  Budget,
  Seed,
  Out,
  AsJson,
};

struct Options {
  std::vector<std::string> strategies{};
  bool all = false;
  std::size_t threads = 4;
  std::string plan = "across-cores";
  std::optional<std::uint64_t> seed{};
  std::string out = ".";
  bool json = false;

  // A command may set these before it declares them.
  long budget_ms = 10'000;
  std::size_t most_threads = 64;
  std::string if_no_strategy{}; // for --help: what is taken if none is named; "" if one must be

  void declare(CLI::App& app, std::initializer_list<Shared> which);
  // BadInput or MachineLacks: no such strategy or pin plan, or no folder that can be written to.
  Status check() const;

  const std::string& strategy() const { return strategies.front(); } // of Shared::Strategy
  std::chrono::milliseconds budget() const { return std::chrono::milliseconds(budget_ms); }
  // Those that are named; with --all those that have every plug-in among them; otherwise `others`.
  std::vector<std::string> strategies_or(std::vector<std::string> others) const;

private:
  bool saves_ = false, pins_ = false;
};

} // namespace proberace
