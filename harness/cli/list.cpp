// proberace list: plug-ins, what they promise and state about themselves, strategies, pin plans.
#include "harness/base/json_fields.h"
#include "harness/cli/command.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "harness/result/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

template <> struct JsonForm<PathSet> {
  static Json write(const PathSet& paths) { return Json(paths.names()); }
};

namespace {

Json names_of(const Promises& promises) {
  Json names = Json::array();
  for (const PromiseText& p : kPromises)
    if (promises.has(p.value))
      names.push_back(p.name);
  return names;
}

// As its name spells them; null for a whole strategy.
Json parts_json(const std::string& strategy) {
  const auto parts = parts_of(strategy);
  return parts ? Json{{"transport", parts->transport},
                      {"armer", plain_name(parts->armer)},
                      {"stepper", parts->stepper}}
               : Json(nullptr);
}

Json as_json() {
  Json plugins = Json::array();
  for (const PlugIn& p : plug_ins())
    plugins.push_back(
        Json{{"kind", proberace::name(p.kind)},
             {"name", p.name},
             {"summary", p.summary},
             {"promises", p.kind == PlugInKind::Transport ? Json(nullptr) : names_of(*promises_of(p))}});
  Json strategies = Json::array();
  for (const std::string& strategy : strategy_names()) {
    const auto prober = *make_prober(strategy);
    strategies.push_back(Json{{"name", strategy},
                              {"parts", parts_json(strategy)},
                              {"promises", names_of(prober->promises())},
                              {"facts", write_fields(prober->facts())}});
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
              {"reference", Json{{"peer", holder_of(Role::ReferencePeer)},
                                 {"armer", plain_name(holder_of(Role::ReferenceArmer))},
                                 {"stepper", holder_of(Role::ReferenceStepper)}}},
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

// The facts that differ from those of a plug-in that states none, in words.
std::string in_words(const Facts& f) {
  std::vector<std::string> words;
  if (!f.paths.empty())
    words.push_back(fmt::format("hits: {}", fmt::join(f.paths.names(), ", ")));
  const auto say = [&](bool holds, const char* sentence) {
    if (holds)
      words.emplace_back(sentence);
  };
  say(f.traps == Traps::NoHit, "no hit traps");
  say(f.traps == Traps::SomeHits, "some hits do not trap");
  say(f.handled_by == HandledBy::Kernel, "handled in the kernel");
  say(f.removal == Removal::WaitsForThreads, "a removal waits for threads to leave");
  say(f.removal == Removal::Slow, "a removal takes tens of ms");
  say(!f.schedulable, "no schedule points");
  say(!f.counts_threads, "no counts per thread");
  say(f.selective, "takes only some instructions");
  say(f.machine_wide, "acts in every process that maps the file");
  say(f.stops_threads, "stops all threads");
  say(f.threads_must_answer, "each thread must answer a signal");
  say(f.keeps_mappings, "keeps its mappings of pages");
  say(f.gives_pages_back, "leaves no page a private copy");
  if (f.most_sites)
    words.push_back(fmt::format("at most {} sites at a time", *f.most_sites));
  return fmt::format("{}", fmt::join(words, "; "));
}

void print_facts() {
  Table table({"plug-in", "facts"});
  for (const PlugIn& p : plug_ins())
    if (const auto facts = facts_of(p); facts && *facts != Facts{})
      table.add({p.name, in_words(*facts)});
  fmt::print("{}\n", table.text());
}

void print_for_people() {
  Table plugins({"plug-in", "kind", "what it does"});
  for (const PlugIn& p : plug_ins())
    plugins.add({p.name, std::string(proberace::name(p.kind)), p.summary});
  fmt::print("{}\n", plugins.text());

  print_promises();
  print_facts();
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
  std::string summary() const override { return "Show plug-ins, what they promise, and pin plans"; }
  std::string example() const override { return "proberace list --json"; }
  void declare(CLI::App& app) override { app.add_flag("--json", json_, "Print JSON"); }
  Exit run() override {
    if (json_)
      fmt::print("{}\n", as_json().dump(2));
    else
      print_for_people();
    return Exit::Held;
  }

private:
  bool json_ = false;
};

const bool list_registered = register_command([] { return std::make_unique<List>(); });

} // namespace

} // namespace proberace
