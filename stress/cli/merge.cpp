// proberace merge: puts the directories of long hunts together.
#include "harness/cli/command.h"
#include "stress/hunt/campaign_report.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Merge final : public Command {
public:
  std::string name() const override { return "merge"; }
  std::string summary() const override { return "Put together the folders of long hunts (hunt --resume)"; }
  std::string example() const override { return "proberace merge part-1 part-2 --into all"; }

  void declare(CLI::App& app) override {
    app.add_option("directory", directories_,
                   "Folders of the same hunt; a case that is in several of them counts once")
        ->required();
    app.add_option("--into", into_, "Also keep all their cases in this folder");
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    const auto set = merged(directories_);
    if (!set)
      return fail(set.error());
    if (into_)
      if (const Status kept = keep(*set); !kept)
        return fail(kept.error());
    const CampaignReport report = report_of(*set);
    if (report.nothing_tested())
      return fail(Error{ErrorKind::BadInput, {}, "nothing was tested: the strategy refused every case"});
    if (json_)
      fmt::print("{}\n", to_json(report, set->campaign).dump(2));
    else
      fmt::print("{}", text_of(report, set->campaign));
    return report.broken.empty() ? Exit::Held : Exit::Counterexample;
  }

private:
  Status keep(const CaseSet& set) const {
    const auto directory = CaseDirectory::open(*into_, set.campaign);
    if (!directory)
      return std::unexpected(directory.error());
    auto there = CaseDirectory::read(*into_);
    if (!there)
      return std::unexpected(there.error());
    CaseDirectory::Writer writer = directory->writer();
    for (const auto& [seed, line] : set.done)
      if (there->keep(line))
        if (const Status appended = writer.append(line); !appended)
          return appended;
    return {};
  }

  std::vector<std::string> directories_;
  std::optional<std::string> into_;
  bool json_ = false;
};

const bool merge_registered = register_command([] { return std::make_unique<Merge>(); });

} // namespace

} // namespace proberace
