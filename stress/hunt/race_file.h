// A counterexample as a file: "proberace/race/1", JSON. What it takes to run it again, and what was seen.
#pragma once

#include "stress/scenario/controlled.h"

namespace proberace {

struct RaceFile {
  Program program;
  schedule::Schedule schedule{};
  std::size_t runs = 1;   // of the program in one process, each under the schedule
  std::string scheduler;  // that found it
  std::uint64_t seed = 0; // of the hunt
  Json verdict;
  std::optional<Exploration>
      series{};       // instead of the schedule: all of these, in one process (race_hunter.h)
  bool recurs = true; // in a process of its own, when it was found
};

// Writes it whole, as a new file in `directory`, and returns its path.
std::expected<std::string, Error> save_race(const std::string& directory, const RaceFile& race);
// BadInput names the file and what is wrong with it.
std::expected<RaceFile, Error> load_race(const std::string& path);

} // namespace proberace
