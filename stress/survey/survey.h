// Which instructions of binaries a strategy can probe: the survey per file and strategy, and how it is
// printed.
#pragma once

#include "harness/cell/verdict.h"

#include <functional>
#include <string>
#include <vector>

namespace proberace {

struct ElfSurvey {
  std::string file;
  std::string strategy;
  Verdict verdict; // its data is survey_experiment.cpp's

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("file", self.file);
    field("strategy", self.strategy);
    field("verdict", self.verdict);
  }
};

// The strategies that differ in what they can probe. The reference peer is not among them: its removals would
// take hours.
std::vector<std::string> surveyed_strategies();

// Every instruction of each file, or `sites` of them evenly spread. Precondition: start_nursery(). `progress`
// gets a line before each cell.
std::vector<ElfSurvey> survey_elf(const std::vector<std::string>& files,
                                  const std::vector<std::string>& strategies, std::size_t sites,
                                  const std::function<void(const std::string&)>& progress);

// One table, and what is refused why; of several files also their sum.
std::string text_of(const std::vector<ElfSurvey>& surveys);
// {"schema": "proberace/elf-survey/1", "rows": [...]}.
Json to_json(const std::vector<ElfSurvey>& surveys);

} // namespace proberace
