// proberace list: plug-ins and what they promise, strategies and their footprints, pin plans.
#include "harness/cell/cell.h"
#include "harness/cli/command.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "harness/result/table.h"

#include <fmt/format.h>

namespace proberace {

namespace {

std::string_view word(PlugInKind kind) {
  switch (kind) {
  case PlugInKind::Armer: return "armer";
  case PlugInKind::Stepper: return "stepper";
  case PlugInKind::Transport: return "transport";
  case PlugInKind::Whole: return "whole strategy";
  }
  return "?";
}

Json names_of(const Promises& promises) {
  Json names = Json::array();
  for (const PromiseText& p : kPromises)
    if (promises.has(p.value))
      names.push_back(p.name);
  return names;
}

Json as_json() {
  Json plugins = Json::array();
  for (const PlugIn& p : plug_ins())
    plugins.push_back(
        Json{{"kind", word(p.kind)},
             {"name", p.name},
             {"summary", p.summary},
             {"promises", p.kind == PlugInKind::Transport ? Json(nullptr) : names_of(*promises_of(p))}});
  Json strategies = Json::array();
  for (const std::string& strategy : strategy_names()) {
    strategies.push_back(
        Json{{"name", strategy}, {"promises", names_of((*make_prober(strategy))->promises())}});
  }
  Json plans = Json::array();
  for (const PinPlanText& text : pin_plans()) {
    const auto plan = make_pin_plan(text.name, 2);
    plans.push_back(Json{{"name", text.name},
                         {"summary", text.sentence},
                         {"skipped", plan ? Json(nullptr) : Json(plan.error().message)}});
  }
  return Json{{"schema", "proberace/list/1"},
              {"plug_ins", std::move(plugins)},
              {"strategies", std::move(strategies)},
              {"pin_plans", std::move(plans)}};
}

// Plug-ins by number, so that the table fits a terminal. Transports take away what the composed strategies'
// columns show against their parts'.
void print_promises() {
  std::vector<std::pair<std::string, Promises>> columns;
  for (const PlugIn& p : plug_ins())
    if (const auto promises = promises_of(p))
      columns.emplace_back(p.name, *promises);
  for (const std::string& strategy : covering_strategies())
    if (const auto parts = parts_of(strategy); parts && parts->armer == holder_of(Role::ReferenceArmer) &&
                                               parts->stepper == holder_of(Role::ReferenceStepper))
      columns.emplace_back(strategy, (*make_prober(strategy))->promises());
  std::vector<std::string> header{"promise"};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    header.push_back(std::to_string(i + 1));
    fmt::print("{:>4} {}\n", i + 1, columns[i].first);
  }
  Table table(header);
  for (const PromiseText& p : kPromises) {
    std::vector<std::string> row{std::string(p.name)};
    for (const auto& [name, promises] : columns)
      row.emplace_back(promises.has(p.value) ? "+" : ".");
    table.add(row);
  }
  fmt::print("{}\n", table.text());
}

// A strategy's footprint as the process shows it: a cell each.
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
  fmt::print(
      "What six sites on two pages, hit by two threads, change in the process: while armed / after the last\n"
      "removal / after close, against before open. Slots: live / residue until close.\n\n{}",
      table.text());
}

void print_for_people() {
  Table plugins({"plug-in", "kind", "what it does"});
  for (const PlugIn& p : plug_ins())
    plugins.add({p.name, std::string(word(p.kind)), p.summary});
  fmt::print("{}\n", plugins.text());

  print_promises();
  fmt::print("A strategy is [transport:]armer+stepper, or whole, and promises what all of its parts do; {} "
             "combinations "
             "work (`list --json` names them), {} cover every plug-in (`check --all`).\n\n",
             strategy_names().size(), covering_strategies().size());

  Table plans({"pin plan", "on this machine"});
  for (const PinPlanText& text : pin_plans()) {
    const auto plan = make_pin_plan(text.name, 2);
    plans.add(
        {std::string(text.name), plan ? std::string(text.sentence) : "skipped: " + plan.error().message});
  }
  fmt::print("{}", plans.text());
}

class List final : public Command {
public:
  std::string name() const override { return "list"; }
  std::string summary() const override { return "Plug-ins and what they promise, footprints, pin plans"; }
  std::string example() const override { return "proberace list --json"; }
  void declare(CLI::App& app) override {
    app.add_flag("--footprint", footprint_, "What each strategy changes in the process that hosts it");
    app.add_option("--strategy", strategies_, "With --footprint: only this one; repeat for more");
    app.add_flag("--json", json_, "Print JSON");
  }
  Exit run() override {
    for (const std::string& strategy : strategies_)
      if (const auto prober = make_prober(strategy); !prober)
        return fail(prober.error());
    if (footprint_)
      return run_footprint();
    if (json_)
      fmt::print("{}\n", as_json().dump(2));
    else
      print_for_people();
    return Exit::Held;
  }

private:
  Exit run_footprint() const {
    const auto rows = footprints(strategies_.empty() ? covering_strategies() : strategies_);
    bool all_held = true;
    Json list = Json::array();
    for (const FootprintRow& row : rows) {
      all_held = all_held && !row.verdict.is(Ending::Broken) && !row.verdict.is(Ending::Crashed);
      list.push_back(Json{{"strategy", row.strategy}, {"verdict", to_json(row.verdict)}});
    }
    if (json_)
      fmt::print("{}\n", Json{{"schema", "proberace/footprint/1"}, {"strategies", std::move(list)}}.dump(2));
    else
      print_footprints(rows);
    return all_held ? Exit::Held : Exit::Counterexample;
  }

  std::vector<std::string> strategies_;
  bool footprint_ = false;
  bool json_ = false;
};

const bool list_registered = register_command([] { return std::make_unique<List>(); });

} // namespace

} // namespace proberace
