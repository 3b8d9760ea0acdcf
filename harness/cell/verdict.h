// How an experiment ended. A crash, a hang or a refusal is a result like any other.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/base/error.h"
#include "harness/base/fields.h"
#include "harness/base/json.h"

#include <string>
#include <string_view>

namespace proberace {

enum class Ending {
  Held,    // every property held
  Broken,  // one did not: which, and the evidence
  Crashed, // the child died of a signal
  Hung,    // the child missed its deadline
  Refused, // the strategy declined, with an error
  Skipped, // this machine lacks what it takes, with the reason
};

inline constexpr auto kEndings = enumeration<Named<Ending>>({
    {Ending::Held, "held"},
    {Ending::Broken, "broken"},
    {Ending::Crashed, "crashed"},
    {Ending::Hung, "hung"},
    {Ending::Refused, "refused"},
    {Ending::Skipped, "skipped"},
});
constexpr const auto& rows_of(Ending) noexcept {
  return kEndings;
}

struct Verdict {
  Ending ending = Ending::Held;
  std::string property; // which one broke; "" otherwise
  std::string summary;  // one line for people
  Json evidence;        // what shows it: for Broken from the experiment, for Crashed and Hung from the cell
  Json data;            // what the experiment measured or counted

  bool is(Ending e) const noexcept { return ending == e; }
  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("ending", self.ending);
    field("property", self.property, kMayBeMissing);
    field("summary", self.summary, kMayBeMissing);
    field("evidence", self.evidence, kMayBeMissing);
    field("data", self.data, kMayBeMissing);
  }

  // Evidence against the strategy.
  bool is_counterexample() const noexcept {
    return is(Ending::Broken) || is(Ending::Crashed) || is(Ending::Hung);
  }
};

// For results and --json.
Json to_json(const Verdict& verdict);
// BadInput, naming the field.
std::expected<Verdict, Error> verdict_from(const Json& json);

} // namespace proberace
