#include "stress/promises/promise_replay.h"

#include "stress/promises/promise_matrix.h"

#include <fmt/format.h>

namespace proberace {

namespace {

std::optional<Promise> promise_in(const Counterexample& found) {
  const Json name = found.what.value("promise", Json());
  return name.is_string() ? named<Promise>(name.get_ref<const std::string&>()) : std::nullopt;
}

class PromiseReplay final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "promise"; }

  Status check(const Counterexample& found) const override {
    if (promise_in(found))
      return {};
    return in_its_case(Error{ErrorKind::BadInput, {}, "field 'promise': expected one of `proberace list`"});
  }

  Replayed run(const Counterexample& found) const override {
    const Promise promise = *promise_in(found);
    Replayed now{observe_promise(found.strategy, promise), {}, Json::object(), {}};
    if (now.verdict.is_counterexample())
      now.verdict.property = proberace::name(promise);
    now.text = fmt::format("{}: {}\n", found.strategy, kPromises[static_cast<std::size_t>(promise)].sentence);
    return now;
  }
};

const bool promise_replay_registered = register_replay_kind(std::make_unique<PromiseReplay>());

} // namespace

Counterexample counterexample_of(const VerdictRow& row) {
  Counterexample found;
  found.kind = "promise";
  found.strategy = row.strategy;
  found.what = Json{{"promise", row.case_name}};
  found.verdict = Json{{"ending", row.observed}, {"property", row.case_name}, {"summary", row.reason}};
  return found;
}

} // namespace proberace
