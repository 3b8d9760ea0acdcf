#include "harness/cli/command.h"

#include "harness/base/failure.h"

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

Status Command::take_program(const std::vector<std::string>&) {
  return bad_input("`proberace {}` runs no program: nothing may follow --", name());
}

Exit fail(const Error& error) {
  fmt::print(stderr, "proberace: {}\n", error.message);
  const bool lacks = error.kind == ErrorKind::MachineLacks || error.kind == ErrorKind::NoPermission;
  return lacks ? Exit::MachineLacks : Exit::BadUsage;
}

CLI::Validator duration_in_milliseconds() {
  const std::map<std::string, long> units{{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}};
  const CLI::AsNumberWithUnit number(units, CLI::AsNumberWithUnit::UNIT_REQUIRED,
                                     "TIME (500ms, 20s, 2min, 1h)");
  CLI::Validator validator = number;
  validator.operation([number](std::string& text) {
    const std::string given = text;
    std::string wrong = number(text);
    if (wrong.empty() && std::strtol(text.c_str(), nullptr, 10) <= 0)
      wrong = fmt::format("{} is no time to spend: give more", given);
    return wrong;
  });
  return validator;
}

CLI::Validator number_from(std::uint64_t least) {
  return CLI::Validator(
      [least](std::string& text) {
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits && std::strtoull(text.c_str(), nullptr, 10) >= least
                   ? std::string()
                   : fmt::format("'{}' is no whole number from {} on", text, least);
      },
      fmt::format("NUMBER from {}", least));
}

} // namespace proberace
