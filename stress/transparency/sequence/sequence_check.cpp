#include "stress/transparency/sequence/sequence_check.h"

#include "harness/probe/registry.h"
#include "stress/hunt/search.h"

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::chrono::seconds kSequenceDeadline{10};
constexpr std::chrono::seconds kShrinkSequenceFor{60};
constexpr int kTriesWhileShrinking = 3; // a race that shows now and then must not stop the shrinking at once
constexpr std::uint64_t kRounds = 20;
// Where a removal takes tens of milliseconds.
constexpr std::uint64_t kRoundsIfSlow = 3;
constexpr std::size_t kSitesIfSlow = 4;

bool removes_slowly(const std::string& strategy) {
  return facts_of(strategy).removal == Removal::Slow;
}

rc::Gen<Step> steps(bool red_zone) {
  const auto byte = rc::gen::arbitrary<std::uint8_t>();
  const auto kind = rc::gen::map(rc::gen::inRange<unsigned>(0, kStepKinds), [=](unsigned n) {
    const auto k = static_cast<StepKind>(n);
    const bool below = k == StepKind::StoreRedZone || k == StepKind::ChangeRedZone ||
                       k == StepKind::ReadRedZone || k == StepKind::Copy ||
                       k == StepKind::Call; // what a call leaves there is read at the end
    return below && !red_zone ? StepKind::RegisterRegister : k;
  });
  // In full whatever the size: of a small size RapidCheck's ranges give only their beginnings.
  return rc::gen::resize(
      rc::kNominalSize,
      rc::gen::map(
          rc::gen::tuple(kind, byte, byte, byte, rc::gen::arbitrary<std::int32_t>()), [](const auto& t) {
            return Step{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t), std::get<4>(t)};
          }));
}

rc::Gen<Sequence> sequences(const std::string& strategy) {
  const bool red_zone = (*make_prober(strategy))->promises().has(Promise::RedZoneIntact);
  const auto place = rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint16_t>(0, 400));
  const auto some =
      removes_slowly(strategy)
          ? rc::gen::container<std::vector<std::uint16_t>>(kSitesIfSlow, place)
          : rc::gen::oneOf(rc::gen::just(std::vector<std::uint16_t>()),
                           rc::gen::scale(0.5, rc::gen::nonEmpty(
                                                   rc::gen::container<std::vector<std::uint16_t>>(place))));
  const auto code = rc::gen::scale(0.2, rc::gen::container<std::vector<Step>>(steps(red_zone)));
  return rc::gen::map(rc::gen::tuple(code, some, rc::gen::arbitrary<std::uint32_t>()), [](const auto& t) {
    return Sequence{std::get<0>(t), std::get<1>(t), std::get<2>(t)};
  });
}

// How search() runs a sequence, and what it adds up meanwhile.
class SequencePolicy {
public:
  using Failure = SequenceFailure;

  SequencePolicy(const SequenceOptions& options, SequenceReport& report)
      : options_(options), report_(report) {}

  std::optional<Failure> attempt(const Sequence& sequence) {
    Verdict verdict = run(sequence);
    if (verdict.is(Ending::Skipped) || verdict.is(Ending::Refused)) {
      report_.ended = std::move(verdict);
      return std::nullopt;
    }
    note(verdict);
    if (!verdict.is_counterexample())
      return std::nullopt;
    return Failure{what(sequence), std::move(verdict)};
  }

  std::optional<Failure> attempt_smaller(const Sequence& sequence) {
    if (options_.progress)
      options_.progress(fmt::format("{}: shrinking what broke", options_.strategy));
    for (int tries = kTriesWhileShrinking; tries > 0; --tries)
      if (Verdict verdict = run(sequence); verdict.is_counterexample())
        return Failure{what(sequence), std::move(verdict)};
    return std::nullopt;
  }

  bool worth_shrinking(const Failure&) const { return true; }
  bool over() const { return !report_.ended.is(Ending::Held); }

private:
  Verdict run(const Sequence& s) const { return run_cell(to_cell(options_.strategy, what(s))); }

  SequenceCase what(const Sequence& s) const {
    return {s, options_.threads, options_.plan, removes_slowly(options_.strategy) ? kRoundsIfSlow : kRounds};
  }

  void note(const Verdict& v) {
    ++report_.cases;
    report_.armed += v.data.value("armed", std::uint64_t{0});
    report_.refused += v.data.value("refused", std::uint64_t{0});
    report_.hits += v.data.value("hits", std::uint64_t{0});
    report_.armed_steps += v.data.value("armed_steps", std::uint64_t{0});
    if (v.data.contains("mnemonics"))
      for (const auto& [mnemonic, hits] : v.data["mnemonics"].items())
        report_.mnemonics[mnemonic] += hits.get<std::uint64_t>();
    if (options_.progress)
      options_.progress(
          fmt::format("{}: {} of {} sequences", options_.strategy, report_.cases, options_.cases));
  }

  const SequenceOptions& options_;
  SequenceReport& report_;
};

} // namespace

CellSpec to_cell(const std::string& strategy, const SequenceCase& what) {
  CellSpec spec{"sequence", Json{{"strategy", strategy}},
                kSequenceDeadline * std::max<std::size_t>(1, what.threads / 4)};
  spec.parameters.update(write_fields(what));
  return spec;
}

SequenceReport check_sequences(const SequenceOptions& options) {
  SequenceReport report;
  report.strategy = options.strategy;
  report.seed = options.seed;
  SequencePolicy policy(options, report);
  const SearchLimits limits{
      .budget = {}, .seed = options.seed, .cases = options.cases, .shrink_at_least = kShrinkSequenceFor};
  report.failure = search(limits, sequences(options.strategy), policy).found;
  if (report.ended.is(Ending::Held) && !report.failure && report.hits == 0) {
    report.ended.ending = Ending::Skipped;
    report.ended.summary =
        report.armed == 0 ? "every site is refused" : "no site was hit, so nothing is tested";
  }
  return report;
}

std::string text_of(const SequenceReport& r) {
  std::string text =
      fmt::format("{}: {} sequences (seed {}): {}; {} sites armed, {} refused, {} hits\n", r.strategy,
                  r.cases, r.seed, r.failure ? "broken" : name(r.ended.ending), r.armed, r.refused, r.hits);
  if (!r.ended.is(Ending::Held))
    text += fmt::format("  {}\n", r.ended.summary);
  if (!r.failure)
    return text;
  const Verdict& v = r.failure->verdict;
  text += fmt::format("  {}{}: {}\n", name(v.ending), v.property.empty() ? "" : " (" + v.property + ")",
                      v.summary);
  if (v.is(Ending::Broken))
    for (const Json& line : v.evidence)
      text += fmt::format("    {}\n", line.get<std::string>());
  if (!r.failure->file.empty())
    text += fmt::format("  again: proberace replay {}\n", r.failure->file);
  return text;
}

Json to_json(const SequenceReport& r) {
  Json j{{"strategy", r.strategy},
         {"seed", r.seed},
         {"sequences", r.cases},
         {"armed", r.armed},
         {"refused", r.refused},
         {"hits", r.hits},
         {"mnemonics", r.mnemonics},
         {"ended", to_json(r.ended)},
         {"held", !r.failure && r.ended.is(Ending::Held)}};
  if (r.failure)
    j["failure"] = Json{{"sequence", write_fields(r.failure->what.sequence)},
                        {"verdict", to_json(r.failure->verdict)},
                        {"cell", to_cell(r.strategy, r.failure->what).line()},
                        {"file", r.failure->file.empty() ? Json(nullptr) : Json(r.failure->file)}};
  return j;
}

} // namespace proberace
