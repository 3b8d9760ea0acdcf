#include "stress/transparency/sequence/sequence_check.h"

#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "stress/hunt/quiet_batch.h"

#include <chrono>
#include <fmt/format.h>
#include <rapidcheck.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDeadline{10};
constexpr std::chrono::seconds kShrinkFor{60};
constexpr int kTriesWhileShrinking = 3; // a race that shows now and then must not stop the shrinking at once
constexpr std::uint64_t kRounds = 20;
constexpr std::uint64_t kRoundsOfTheKernel = 3;
constexpr std::size_t kSitesOfTheKernel = 4; // it takes 80 ms and more a removal

bool is_kernel(const std::string& strategy) {
  return strategy == "kernel-uprobe";
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
      is_kernel(strategy)
          ? rc::gen::container<std::vector<std::uint16_t>>(kSitesOfTheKernel, place)
          : rc::gen::oneOf(rc::gen::just(std::vector<std::uint16_t>()),
                           rc::gen::nonEmpty(rc::gen::container<std::vector<std::uint16_t>>(place)));
  const auto code = rc::gen::scale(0.4, rc::gen::container<std::vector<Step>>(steps(red_zone)));
  return rc::gen::map(rc::gen::tuple(code, some, rc::gen::arbitrary<std::uint32_t>()), [](const auto& t) {
    return Sequence{std::get<0>(t), std::get<1>(t), std::get<2>(t)};
  });
}

class Check {
public:
  explicit Check(const SequenceOptions& options) : options_(options) {
    report_.strategy = options.strategy;
    report_.seed = options.seed;
  }

  SequenceReport run() {
    const auto all = sequences(options_.strategy);
    run_quietly(options_.seed, options_.cases, [this, &all] { holds(*all); });
    if (report_.ended.is(Ending::Held) && !report_.failure && report_.armed == 0) {
      report_.ended.ending = Ending::Skipped;
      report_.ended.summary = "every site is refused";
    }
    return std::move(report_);
  }

private:
  CellSpec cell(const Sequence& s) const {
    return {"sequence",
            Json{{"strategy", options_.strategy},
                 {"sequence", s},
                 {"threads", options_.threads},
                 {"plan", options_.plan},
                 {"rounds", is_kernel(options_.strategy) ? kRoundsOfTheKernel : kRounds}},
            kDeadline * std::max<std::size_t>(1, options_.threads / 4)};
  }

  void holds(const Sequence& sequence) {
    const bool shrinking = report_.failure.has_value();
    if (!report_.ended.is(Ending::Held) || (shrinking && Clock::now() >= shrink_until_))
      return;
    for (int tries = shrinking ? kTriesWhileShrinking : 1; tries > 0; --tries) {
      const CellSpec spec = cell(sequence);
      const Verdict verdict = run_cell(spec);
      if (verdict.is(Ending::Skipped) || verdict.is(Ending::Refused)) {
        if (!shrinking)
          report_.ended = verdict;
        return;
      }
      if (!shrinking)
        note(verdict);
      if (!verdict.is_counterexample())
        continue;
      if (!shrinking)
        shrink_until_ = Clock::now() + kShrinkFor;
      report_.failure = SequenceFailure{sequence, verdict, spec.line()};
      RC_FAIL(verdict.summary);
    }
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
  SequenceReport report_;
  Clock::time_point shrink_until_{};
};

} // namespace

SequenceReport check_sequences(const SequenceOptions& options) {
  return Check(options).run();
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
  text += fmt::format("  {}: {}: {}\n", name(v.ending), v.property, v.summary);
  if (v.is(Ending::Broken))
    for (const Json& line : v.evidence)
      text += fmt::format("    {}\n", line.get<std::string>());
  return text + fmt::format("  again: proberace hunt --cell '{}'\n", r.failure->cell);
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
    j["failure"] = Json{{"sequence", r.failure->sequence},
                        {"verdict", to_json(r.failure->verdict)},
                        {"cell", r.failure->cell}};
  return j;
}

} // namespace proberace
