// proberace list: plug-ins, strategies and what they promise, pin plans.
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"
#include "harness/cli/table.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"

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

Json as_json() {
  Json plugins = Json::array();
  for (const PlugIn& p : plug_ins())
    plugins.push_back(Json{{"kind", word(p.kind)}, {"name", p.name}, {"summary", p.summary}});
  Json strategies = Json::array();
  for (const std::string& strategy : strategy_names()) {
    const Promises promises = (*make_prober(strategy))->promises();
    Json promised = Json::array();
    for (const PromiseText& p : all_promises())
      if (promises.has(p.promise))
        promised.push_back(p.name);
    strategies.push_back(Json{{"name", strategy}, {"promises", std::move(promised)}});
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

void print_for_people() {
  Table plugins({"plug-in", "kind", "what it does"});
  for (const PlugIn& p : plug_ins())
    plugins.add({p.name, std::string(word(p.kind)), p.summary});
  fmt::print("{}\n", plugins.text());

  const std::vector<std::string> strategies = strategy_names();
  std::vector<std::string> header{"promise"};
  header.insert(header.end(), strategies.begin(), strategies.end());
  Table promises(header);
  for (const PromiseText& p : all_promises()) {
    std::vector<std::string> row{std::string(p.name)};
    for (const std::string& strategy : strategies)
      row.emplace_back((*make_prober(strategy))->promises().has(p.promise) ? "yes" : ".");
    promises.add(row);
  }
  fmt::print("{}\n", promises.text());

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
  std::string summary() const override { return "Plug-ins, strategies and what they promise, pin plans"; }
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

const bool registered = register_command([] { return std::make_unique<List>(); });

} // namespace

} // namespace proberace
