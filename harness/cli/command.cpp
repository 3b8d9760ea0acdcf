#include "harness/cli/command.h"

#include <cstdio>
#include <fmt/format.h>

namespace proberace {

namespace {
std::vector<CommandFactory>& factories() {
  static std::vector<CommandFactory> instance;
  return instance;
}
} // namespace

bool register_command(CommandFactory factory) {
  factories().push_back(std::move(factory));
  return true;
}

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  for (const CommandFactory& factory : factories())
    commands.push_back(factory());
  std::sort(commands.begin(), commands.end(),
            [](const auto& a, const auto& b) { return a->name() < b->name(); });
  return commands;
}

Exit fail(const Error& error) {
  fmt::print(stderr, "proberace: {}\n", error.message);
  const bool lacks = error.kind == ErrorKind::MachineLacks || error.kind == ErrorKind::NoPermission;
  return lacks ? Exit::MachineLacks : Exit::BadUsage;
}

CLI::Validator duration_in_milliseconds() {
  const std::map<std::string, long> units{{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}};
  return CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME (500ms, 20s, 2min, 1h)");
}

} // namespace proberace
