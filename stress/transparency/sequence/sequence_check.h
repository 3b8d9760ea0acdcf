// Random sequences under a strategy, each in a cell; the first that breaks is shrunk.
#pragma once

#include "harness/cell/cell.h"
#include "stress/transparency/sequence/sequence.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace proberace {

struct SequenceOptions {
  std::string strategy;
  std::uint64_t cases = 200;
  std::uint64_t seed = 1;
  std::size_t threads = 4;
  std::string plan = "across-cores";
  std::function<void(const std::string&)> progress{}; // may be empty
};

// A sequence, and how it is run.
struct SequenceCase {
  Sequence sequence;
  std::size_t threads = 4;
  std::string plan = "across-cores";
  std::uint64_t rounds = 20; // of each thread

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("sequence", self.sequence);
    field("threads", self.threads, AtLeast{1});
    field("plan", self.plan);
    field("rounds", self.rounds, AtLeast{1});
  }
};
CellSpec to_cell(const std::string& strategy, const SequenceCase& what);

struct SequenceFailure {
  SequenceCase what; // the smallest found
  Verdict verdict;
  std::string file{}; // where it is kept, if it is (sequence_counterexample.h)
};

struct SequenceReport {
  std::string strategy;
  std::uint64_t seed = 0;
  std::uint64_t cases = 0; // run
  std::uint64_t armed = 0, refused = 0, hits = 0;
  std::uint64_t armed_steps = 0;                    // instructions of steps, as those by mnemonic
  std::map<std::string, std::uint64_t> mnemonics{}; // hits of each
  Verdict ended;                                    // Held, or why nothing was run
  std::optional<SequenceFailure> failure{};
};

// Precondition: start_nursery(). The same seed invents the same sequences.
SequenceReport check_sequences(const SequenceOptions& options);

std::string text_of(const SequenceReport& report);
Json to_json(const SequenceReport& report);

} // namespace proberace
