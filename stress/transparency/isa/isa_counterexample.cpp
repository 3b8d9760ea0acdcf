#include "stress/transparency/isa/isa_counterexample.h"

#include "harness/base/json_fields.h"
#include "stress/transparency/isa/isa_case.h"

#include <fmt/format.h>

namespace proberace {

namespace {

struct InstructionCase {
  std::uint64_t seed = 0, number = 0;
  std::vector<std::size_t> path{};      // isa_case.h
  std::vector<std::string> mnemonics{}; // IsaOptions

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("seed", self.seed);
    field("number", self.number);
    field("path", self.path);
    field("mnemonics", self.mnemonics);
  }
};

class InstructionKind final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "instruction"; }

  // It also builds the catalogue of forms, once for all cells, whose processes are forked later.
  Status check(const Counterexample& found) const override {
    const auto c = read_fields<InstructionCase>(found.what, UnknownKeys::Refused);
    if (!c)
      return in_its_case(c.error());
    for (const std::string& m : c->mnemonics)
      if (FormCatalogue::instance().forms_of(m).empty())
        return in_its_case({ErrorKind::BadInput, {}, fmt::format("no instruction to try is called '{}'", m)});
    if (!isa_case(c->seed, c->number, c->path))
      return in_its_case({ErrorKind::BadInput, {}, "the path leads to no smaller case"});
    return {};
  }

  Replayed run(const Counterexample& found) const override {
    const InstructionCase c = read_fields<InstructionCase>(found.what).value();
    IsaFailure failure{c.number, c.path, {}, true};
    failure.verdict = replay_isa(found.strategy, {c.seed, c.number, c.path}, c.mnemonics);
    return {failure.verdict, fmt::format("{}: {}", found.strategy, text_of(failure, c.seed))};
  }
};

const bool instruction_kind_registered = register_replay_kind(std::make_unique<InstructionKind>());

} // namespace

Counterexample to_counterexample(const IsaReport& report, const IsaFailure& failure,
                                 const std::vector<std::string>& mnemonics) {
  Counterexample found;
  found.kind = "instruction";
  found.strategy = report.strategy;
  found.what = Json{
      {"seed", report.seed}, {"number", failure.number}, {"path", failure.path}, {"mnemonics", mnemonics}};
  found.verdict = to_json(failure.verdict);
  found.seed = report.seed;
  return found;
}

} // namespace proberace
