#include "stress/cli/check_sequences.h"

#include "harness/cell/cell.h"
#include "stress/cli/overall.h"
#include "stress/transparency/sequence/sequence_check.h"

namespace proberace {

void CheckSequences::declare(CLI::App& app) {
  app.add_option("--sequences", cases_,
                 "So many random short bodies with several neighbouring sites, on one thread and on all")
      ->check(CLI::Range(1, 1'000'000))
      ->excludes("--target")
      ->excludes("--elf")
      ->excludes("--isa");
}

Exit CheckSequences::run(const std::vector<std::string>& strategies, const Conditions& conditions, bool json,
                         Progress& progress) const {
  start_nursery();
  Json rows = Json::array();
  std::string text;
  Overall overall;
  for (const std::string& strategy : strategies) {
    const SequenceReport report =
        check_sequences({strategy, cases_, conditions.seed, conditions.threads, conditions.plan,
                         [&](const std::string& line) { progress.show(line); }});
    if (report.ended.is(Ending::Held))
      overall.ran(report.failure.has_value());
    else
      overall.did_not_run(report.ended);
    rows.push_back(proberace::to_json(report));
    text += text_of(report);
  }
  return overall.report("proberace/sequences/1", std::move(rows), text, json);
}

} // namespace proberace
