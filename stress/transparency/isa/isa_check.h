// Hunting for an instruction that does something else with a probe on it: cells of random cases, what they
// found put together, and each broken case shrunk.
#pragma once

#include "harness/cell/verdict.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

struct IsaOptions {
  std::string strategy;
  std::uint64_t cases = 10'000;
  std::uint64_t seed = 1;
  std::vector<std::string> mnemonics{};             // only these; all, if empty
  std::function<void(const std::string&)> progress; // a line after each cell; may be empty
};

struct IsaFailure {
  std::uint64_t number = 0;
  std::vector<std::size_t> path{}; // of shrinks (isa_case.h)
  Verdict verdict{};               // Broken, Crashed or Hung, of the smallest case that still fails
  bool alone = false;              // it fails without the cases that ran beside it
  std::string file{};              // where it is kept, if it is (isa_counterexample.h)
};

struct IsaReport {
  std::string strategy;
  std::uint64_t seed = 0;
  Json counts = Json::object();     // isa_experiment.cpp's, summed up
  std::vector<IsaFailure> failures; // the first of each mnemonic
  std::uint64_t broken = 0;         // all, of any mnemonic
  Verdict ended{};                  // Held; or Skipped or Refused, which ended it
};

// Precondition: start_nursery().
IsaReport check_isa(const IsaOptions& options);
// "7:1234" or "7:1234:0.3.1": seed, number, path.
std::string case_name(std::uint64_t seed, std::uint64_t number, const std::vector<std::size_t>& path);

struct CaseName {
  std::uint64_t seed = 0, number = 0;
  std::vector<std::size_t> path{};
};
// The inverse. None if it is no such name.
std::optional<CaseName> parse_case_name(const std::string& name);
// One case: what --case names. `mnemonics`: as it was when the case was found.
Verdict replay_isa(const std::string& strategy, const CaseName& which,
                   const std::vector<std::string>& mnemonics);

std::string text_of(const IsaReport& report);
Json to_json(const IsaReport& report);
std::string text_of(const IsaFailure& failure, std::uint64_t seed);

} // namespace proberace
