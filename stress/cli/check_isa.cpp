#include "stress/cli/check_isa.h"

#include "harness/cell/cell.h"
#include "stress/cli/overall.h"
#include "stress/transparency/isa/forms.h"
#include "stress/transparency/isa/isa_check.h"

#include <fmt/format.h>

namespace proberace {

void CheckIsa::declare(CLI::App& app) {
  app.add_flag("--isa", asked_, "Random instructions, bare and probed: each must do the same")
      ->excludes("--target")
      ->excludes("--elf")
      ->excludes("--all");
  app.add_option("--cases", cases_, "With --isa: instructions to try for each strategy")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--case", case_, "With --isa: only this one, as a failure names it");
  app.add_option("--mnemonic", mnemonics_, "With --isa: only instructions of this name; may be repeated");
}

Exit CheckIsa::run(const std::vector<std::string>& strategies, std::uint64_t seed, bool json,
                   Progress& progress) const {
  (void)FormCatalogue::instance(); // once, before the cells' processes are forked
  start_nursery();
  if (!case_.empty())
    return replay(strategies);
  Json rows = Json::array();
  std::string text;
  Overall overall;
  for (const std::string& strategy : strategies) {
    const IsaReport report = check_isa(
        {strategy, cases_, seed, mnemonics_, [&](const std::string& line) { progress.show(line); }});
    if (report.ended.is(Ending::Held))
      overall.ran(report.broken != 0);
    else
      overall.did_not_run(report.ended);
    rows.push_back(proberace::to_json(report));
    text += text_of(report);
  }
  return overall.report("proberace/isa/1", std::move(rows), text, json);
}

Exit CheckIsa::replay(const std::vector<std::string>& strategies) const {
  const auto which = parse_case_name(case_);
  if (!which)
    return fail(Error{ErrorKind::BadInput, {}, fmt::format("--case {}: not SEED:NUMBER[:PATH]", case_)});
  Overall overall;
  for (const std::string& strategy : strategies) {
    IsaFailure f{which->number, which->path, {}, true};
    f.verdict = replay_isa(strategy, *which, mnemonics_);
    if (f.verdict.is(Ending::Refused) || f.verdict.is(Ending::Skipped)) {
      overall.did_not_run(f.verdict);
      continue;
    }
    overall.ran(!f.verdict.is(Ending::Held));
    fmt::print("{}: {}", strategy, text_of(f, which->seed));
  }
  return overall.exit();
}

} // namespace proberace
