// proberace footprint: what each strategy changes in the process that hosts it, as the process itself shows it.
// One cell for each strategy (stress/promises/footprint_experiment.cpp).
#include "harness/cell/cell.h"
#include "harness/cli/command.h"
#include "harness/probe/registry.h"
#include "harness/result/table.h"

#include <fmt/format.h>

namespace proberace {

namespace {

struct FootprintRow {
  std::string strategy;
  Verdict verdict;
};

std::vector<FootprintRow> footprints(const std::vector<std::string>& strategies) {
  start_nursery();
  std::vector<FootprintRow> rows;
  for (const std::string& strategy : strategies) {
    CellSpec spec;
    spec.experiment = "footprint";
    spec.parameters = Json{{"strategy", strategy}};
    rows.push_back({strategy, run_cell(spec)});
  }
  return rows;
}

constexpr std::pair<const char*, const char*> kChanges[] = {
    {"mappings", "mappings"},
    {"executable_mappings", "executable"},
    {"writable_executable_bytes", "W+X bytes"},
    {"private_text_pages", "private pages"},
    {"signal_handlers", "handlers"},
    {"descriptors", "descriptors"},
    {"processes", "processes"},
};

// "armed/after the last removal/after close", beside before open.
std::string three_times(const Json& data, const char* change) {
  return fmt::format("{}/{}/{}", data["armed"][change].get<std::int64_t>(),
                     data["residue"][change].get<std::int64_t>(), data["left"][change].get<std::int64_t>());
}

void print_footprints(const std::vector<FootprintRow>& rows) {
  std::vector<std::string> header{"strategy"};
  for (const auto& [key, title] : kChanges)
    header.emplace_back(title);
  header.insert(header.end(), {"slots", "TLS or stack bytes"});
  Table table(header);
  for (const FootprintRow& row : rows) {
    std::vector<std::string> line{row.strategy};
    const Json& data = row.verdict.data;
    if (!data.contains("armed")) {
      line.push_back(fmt::format("{}: {}", proberace::name(row.verdict.ending), row.verdict.summary));
      line.resize(header.size());
    } else {
      for (const auto& [key, title] : kChanges)
        line.push_back(three_times(data, key));
      line.push_back(fmt::format("{}/{}", data["claimed"]["slots"].get<std::int64_t>(),
                                 data["claimed_residue"]["residue_slots"].get<std::int64_t>()));
      line.push_back(fmt::format("{}", data["claimed"]["thread_bytes"].get<std::int64_t>()));
    }
    table.add(line);
  }
  fmt::print("Two threads hit six sites on two pages. Each cell counts what changed in the process since "
             "before open:\n"
             "while armed / after the last removal / after close. Slots: live / residue until close.\n\n{}",
             table.text());
}

class FootprintCommand final : public Command {
public:
  std::string name() const override { return "footprint"; }
  std::string summary() const override {
    return "Show what each strategy changes in the process that hosts it";
  }
  std::string example() const override { return "proberace footprint --strategy pte-swap+xol-vma"; }
  void declare(CLI::App& app) override {
    app.add_option("--strategy", strategies_,
                   "A strategy to try; repeat for more (default: a set that covers every plug-in)");
    app.add_flag("--json", json_, "Print JSON");
  }
  Exit run() override {
    for (const std::string& strategy : strategies_)
      if (const auto prober = make_prober(strategy); !prober)
        return fail(prober.error());
    const auto rows = footprints(strategies_.empty() ? covering_strategies() : strategies_);
    bool all_held = true;
    Json list = Json::array();
    for (const FootprintRow& row : rows) {
      all_held = all_held && !row.verdict.is_counterexample();
      list.push_back(Json{{"strategy", row.strategy}, {"verdict", to_json(row.verdict)}});
    }
    if (json_)
      fmt::print("{}\n", Json{{"schema", "proberace/footprint/1"}, {"strategies", std::move(list)}}.dump(2));
    else
      print_footprints(rows);
    return all_held ? Exit::Held : Exit::Counterexample;
  }

private:
  std::vector<std::string> strategies_;
  bool json_ = false;
};

const bool footprint_registered = register_command([] { return std::make_unique<FootprintCommand>(); });

} // namespace

} // namespace proberace
