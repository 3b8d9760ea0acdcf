// A counterexample as a file: one schema for every kind of case, and `proberace replay` runs each of them
// again.
#pragma once

#include "harness/base/error.h"
#include "harness/base/fields.h"
#include "harness/base/json.h"
#include "harness/cell/verdict.h"

#include <memory>
#include <optional>
#include <string>

namespace proberace {

struct Counterexample {
  std::string kind; // who can run it: ReplayKind::name
  std::string strategy;
  Json what = Json::object();     // the case, as its kind writes it
  std::optional<Json> schedule{}; // of a controlled run, as its kind writes it
  Json verdict = Json::object();  // to_json(Verdict), of the run that is kept
  std::uint64_t seed = 0;         // of the hunt
  bool recurs = true;             // in a process of its own, when it was found
  Json provenance{};              // of the machine and the build that found it; save() fills it in

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/counterexample/1"});
    field("kind", self.kind);
    field("strategy", self.strategy);
    field("case", self.what);
    field("schedule", self.schedule, kOmitEmpty);
    field("verdict", self.verdict);
    field("seed", self.seed);
    field("recurs", self.recurs, kMayBeMissing);
    field("provenance", self.provenance, kMayBeMissing);
  }
};

// The result of one more run of it.
struct Replayed {
  Verdict verdict;
  std::string text{};            // for people: the case and, where there is one, its interleaving
  Json details = Json::object(); // for --json
  Json trace{};                  // for Chrome and Perfetto; null where there is nothing to show
};

class ReplayKind {
public:
  virtual ~ReplayKind() = default;
  virtual std::string_view name() const noexcept = 0;
  // True if it needs the program that has its schedule points compiled in.
  virtual bool is_controlled(const Counterexample&) const { return false; }
  // BadInput says what is wrong with the case or its schedule. The strategy exists.
  virtual Status check(const Counterexample& found) const = 0;
  // Precondition: start_nursery(), and check() held.
  virtual Replayed run(const Counterexample& found) const = 0;
};

// The error of a ReplayKind::check: "case: ...".
std::unexpected<Error> in_its_case(const Error& why);

// Returns true, so that it can initialise a constant.
bool register_replay_kind(std::unique_ptr<ReplayKind> kind);
// Null if there is none.
const ReplayKind* replay_kind(std::string_view name) noexcept;

// Writes it whole, with its provenance, as a new file in `directory`, and returns its path. The directory is
// made.
std::expected<std::string, Error> save(const std::string& directory, const Counterexample& found);
// An error if save() could not write there: ask before the work, not after it.
Status can_save_to(const std::string& directory);
// Its kind and its strategy are known here, and the kind's check() holds. BadInput names the file and what is
// wrong with it.
std::expected<Counterexample, Error> load_counterexample(const std::string& path);

} // namespace proberace
