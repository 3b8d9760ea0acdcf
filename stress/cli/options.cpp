#include "stress/cli/options.h"

#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/hunt/counterexample.h"

#include <fmt/format.h>

namespace proberace {

void Options::declare(CLI::App& app, std::initializer_list<Shared> which) {
  const auto in_seconds = [](long milliseconds) {
    return milliseconds % 1000 == 0 ? fmt::format("{}s", milliseconds / 1000)
                                    : fmt::format("{}ms", milliseconds);
  };
  CLI::Option* strategy = nullptr;
  for (const Shared option : which)
    switch (option) {
    case Shared::Strategy:
      app.add_option("--strategy", strategies, "The strategy (see `proberace list`)")
          ->required()
          ->expected(1)
          ->type_name("NAME");
      break;
    case Shared::Strategies:
      strategy = app.add_option("--strategy", strategies,
                                fmt::format("A strategy (see `proberace list`); may be repeated{}",
                                            if_no_strategy.empty() ? "" : "; default: " + if_no_strategy))
                     ->allow_extra_args(false)
                     ->type_name("NAME");
      break;
    case Shared::All:
      app.add_flag("--all", all, "Take few strategies that have every plug-in among them")
          ->excludes(strategy);
      break;
    case Shared::Threads:
      app.add_option("--threads", threads, "Threads that run the probed code")
          ->check(CLI::Range(std::size_t{1}, most_threads))
          ->capture_default_str();
      break;
    case Shared::Plan:
      pins_ = true;
      app.add_option("--plan", plan, "How threads are pinned to CPUs (see `proberace list`)")
          ->capture_default_str()
          ->type_name("PLAN");
      break;
    case Shared::Budget:
      app.add_option("--budget", budget_ms, "How long to look")
          ->transform(duration_in_milliseconds())
          ->default_str(in_seconds(budget_ms));
      break;
    case Shared::Seed:
      app.add_option("--seed", seed, "The same seed draws the same cases")->check(number_from(0));
      break;
    case Shared::Out:
      saves_ = true;
      app.add_option("--out", out, "The folder for the files of counterexamples")
          ->capture_default_str()
          ->type_name("DIR");
      break;
    case Shared::AsJson: app.add_flag("--json", json, "Print JSON"); break;
    }
}

Status Options::check() const {
  for (const std::string& name : strategies)
    if (const auto prober = make_prober(name); !prober)
      return std::unexpected(prober.error());
  if (pins_)
    if (const auto made = make_pin_plan(plan, threads); !made)
      return std::unexpected(made.error());
  return saves_ ? can_save_to(out) : Status{};
}

std::vector<std::string> Options::strategies_or(std::vector<std::string> others) const {
  return !strategies.empty() ? strategies : all ? covering_strategies() : std::move(others);
}

} // namespace proberace
