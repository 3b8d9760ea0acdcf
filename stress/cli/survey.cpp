// proberace survey: which instructions of binaries a strategy can probe, and why not the rest.
#include "stress/survey/survey.h"

#include "harness/cell/cell.h"
#include "harness/cli/progress.h"
#include "stress/cli/options.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

class Survey final : public Command {
public:
  std::string name() const override { return "survey"; }
  std::string summary() const override {
    return "Say which instructions of ELF files can be probed, how, and why not the rest";
  }
  std::string example() const override {
    return "proberace survey /lib/x86_64-linux-gnu/libz.so.1 --strategy jump";
  }

  void declare(CLI::App& app) override {
    app.add_option("file", files_, "ELF files; their code is probed and never executed")
        ->required()
        ->type_name("FILE");
    options_.if_no_strategy = "those that differ in what they can probe";
    options_.declare(app, {Shared::Strategies});
    app.add_option("--sites", sites_,
                   "So many instructions of each file, evenly spread over it; default: all of them")
        ->check(CLI::Range(1, 100'000));
    options_.declare(app, {Shared::AsJson});
  }

  Exit run() override {
    if (const Status usable = options_.check(); !usable)
      return fail(usable.error());
    start_nursery();
    const std::vector<std::string> strategies = options_.strategies_or(surveyed_strategies());
    const std::vector<ElfSurvey> surveys =
        survey_elf(files_, strategies, sites_, [this](const std::string& line) { progress_.show(line); });
    const Verdict& last = surveys.back().verdict;
    if (last.is(Ending::Refused))
      return fail(Error{ErrorKind::BadInput, {}, last.summary});
    if (last.is(Ending::Skipped) && strategies.size() == 1)
      return fail(Error{ErrorKind::MachineLacks, {}, last.summary});
    fmt::print("{}\n", options_.json ? to_json(surveys).dump(2) : text_of(surveys));
    const bool held = std::ranges::all_of(surveys, [](const ElfSurvey& s) {
      return s.verdict.is(Ending::Held) || s.verdict.is(Ending::Skipped);
    });
    return held ? Exit::Held : Exit::Counterexample;
  }

private:
  Options options_;
  std::vector<std::string> files_;
  std::size_t sites_ = 0; // all
  Progress progress_;
};

const bool survey_registered = register_command([] { return std::make_unique<Survey>(); });

} // namespace

} // namespace proberace
