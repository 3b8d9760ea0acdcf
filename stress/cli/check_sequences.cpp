#include "stress/cli/check_sequences.h"

#include "harness/cell/cell.h"
#include "stress/sequence/sequence_check.h"

#include <fmt/format.h>

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
  bool broke = false;
  for (const std::string& strategy : strategies) {
    const SequenceReport report =
        check_sequences({strategy, cases_, conditions.seed, conditions.threads, conditions.plan,
                         [&](const std::string& line) { progress.show(line); }});
    if (!report.ended.is(Ending::Held) && strategies.size() == 1)
      return fail(Error{report.ended.is(Ending::Skipped) ? ErrorKind::MachineLacks : ErrorKind::BadInput,
                        {},
                        report.ended.summary});
    broke = broke || report.failure;
    rows.push_back(proberace::to_json(report));
    text += text_of(report);
  }
  if (json)
    fmt::print("{}\n", Json{{"schema", "proberace/sequences/1"}, {"rows", std::move(rows)}}.dump(2));
  else
    fmt::print("{}", text);
  return broke ? Exit::Counterexample : Exit::Held;
}

} // namespace proberace
