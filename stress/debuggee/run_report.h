// The report of `run`: how the program ended, and how often each thread hit each probe.
#pragma once

#include "harness/base/fields.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

struct RunReport {
  struct Place {
    std::string probe;   // as the user wrote it
    std::string address; // hexadecimal
    std::uint64_t hits = 0;
    std::map<int, std::uint64_t> threads{}; // by thread id

    template <class Self, class Field> static void fields(Self& self, Field&& field) {
      field("probe", self.probe);
      field("address", self.address);
      field("hits", self.hits);
      field("threads", self.threads);
    }
  };

  std::string strategy;
  int process = 0;
  std::optional<int> exit_status{};
  std::optional<std::string> killed_by{}; // a signal: "SIGSEGV"
  bool runs_on = false;                   // it was left running
  std::optional<int> execs{};             // none where nobody saw them
  std::vector<Place> sites{};

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/run/1"});
    field("strategy", self.strategy);
    field("process", self.process);
    field("exit_status", self.exit_status);
    field("killed_by", self.killed_by);
    field("runs_on", self.runs_on);
    field("execs", self.execs);
    field("sites", self.sites);
  }
};

} // namespace proberace
