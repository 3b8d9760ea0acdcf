// The report of `run`: how the program ended, and how often each thread hit each probe.
#pragma once

#include "harness/base/fields.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

struct RunReport {
  struct Place {
    std::string probe;   // as the user wrote it; several names of one place, with commas
    std::string place;   // "libc.so.6:malloc"
    std::string address; // hexadecimal
    std::uint64_t hits = 0;
    std::map<int, std::uint64_t> threads{}; // by thread id

    template <class Self, class Field> static void fields(Self& self, Field&& field) {
      field("probe", self.probe);
      field("place", self.place);
      field("address", self.address);
      field("hits", self.hits);
      field("threads", self.threads);
    }
  };
  struct Refusal {
    std::string probe;
    std::string place; // "" if the name means none
    std::string reason;

    template <class Self, class Field> static void fields(Self& self, Field&& field) {
      field("probe", self.probe);
      field("place", self.place);
      field("reason", self.reason);
    }
  };

  std::string strategy;
  int process = 0;
  std::optional<int> exit_status{};
  std::optional<std::string> killed_by{}; // a signal: "SIGSEGV"
  bool runs_on = false;                   // it was left running
  std::optional<int> execs{};             // none where nobody saw them
  double seconds = 0;                     // from the probes' arming to the end
  std::vector<Place> sites{};
  std::vector<Refusal> refused{};
  std::map<int, std::string> thread_names{}; // of those that were seen

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/run/1"});
    field("strategy", self.strategy);
    field("process", self.process);
    field("exit_status", self.exit_status);
    field("killed_by", self.killed_by);
    field("runs_on", self.runs_on);
    field("execs", self.execs);
    field("seconds", self.seconds);
    field("sites", self.sites);
    field("refused", self.refused);
    field("thread_names", self.thread_names);
  }
};

// For people. The `top` places that were hit most often, in that order; 0: all, in the order of the probes.
std::string text_of(const RunReport& report, std::size_t top);

// One line on what was hit since `before`, the counts of the last such line: at most `top` places, 0 for three.
std::string line_since(const RunReport& report, const std::vector<std::uint64_t>& before, std::size_t top);

} // namespace proberace
