// proberace report: a recorded run, as a table or as JSON.
#include "harness/cli/command.h"
#include "harness/cli/summary_table.h"
#include "harness/result/run_directory.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Report final : public Command {
public:
  std::string name() const override { return "report"; }
  std::string summary() const override {
    return "Print a recorded run: its figures with their ratios, and the promise matrix";
  }
  std::string example() const override { return "proberace report results/my-machine/20260131T120000Z"; }
  void declare(CLI::App& app) override {
    app.add_option("run", directory_, "The run's folder, as `proberace bench` printed it")->required();
    app.add_flag("--json", json_, "Print JSON");
  }
  Exit run() override {
    const auto summary = read_summary(directory_);
    if (!summary)
      return fail(summary.error());
    fmt::print("{}\n", json_ ? to_json(*summary).dump(2) : text_of(*summary));
    return Exit::Held;
  }

private:
  std::string directory_;
  bool json_ = false;
};

const bool report_registered = register_command([] { return std::make_unique<Report>(); });

} // namespace

} // namespace proberace
