#include "stress/transparency/sequence/sequence_counterexample.h"

namespace proberace {

namespace {

class SequenceKind final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "sequence"; }

  Status check(const Counterexample& found) const override {
    const auto c = read_fields<SequenceCase>(found.what, UnknownKeys::Refused);
    return c ? Status{} : in_its_case(c.error());
  }

  Replayed run(const Counterexample& found) const override {
    Replayed now;
    now.verdict = run_cell(to_cell(found.strategy, read_fields<SequenceCase>(found.what).value()));
    if (now.verdict.is(Ending::Broken))
      for (const Json& line : now.verdict.evidence)
        now.text += line.get<std::string>() + "\n";
    return now;
  }
};

const bool sequence_kind_registered = register_replay_kind(std::make_unique<SequenceKind>());

} // namespace

Counterexample to_counterexample(const SequenceReport& report) {
  Counterexample found;
  found.kind = "sequence";
  found.strategy = report.strategy;
  found.what = write_fields(report.failure->what);
  found.verdict = to_json(report.failure->verdict);
  found.seed = report.seed;
  return found;
}

} // namespace proberace
