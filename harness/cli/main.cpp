// proberace: one program, one subcommand per file.
#include "harness/cli/command.h"
#include "harness/machine/provenance.h"
#include "harness/probe/plugin.h"

#include <fmt/format.h>

using proberace::Command;
using proberace::Exit;

namespace {

int exit_status(Exit exit) {
  return static_cast<int>(exit);
}

// CLI11's own message, on one line, in the form of all our errors.
int bad_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
    return app.exit(error); // --help, --version
  std::string line = error.what();
  std::replace(line.begin(), line.end(), '\n', ' ');
  fmt::print(stderr, "proberace: {}; see `proberace --help`\n", line);
  return exit_status(Exit::BadUsage);
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Races every way to put a breakpoint into a running, multithreaded program.", "proberace"};
  app.set_version_flag("--version", PROBERACE_VERSION);
  app.add_flag_callback(
      "--machine", [] { throw CLI::CallForVersion(proberace::machine_name(), 0); },
      "Print the name that results of this machine are filed under");
  app.require_subcommand(1);
  std::vector<std::string> plugins;
  app.add_option(
         "--plugin", plugins,
         "Load your own strategies from this shared library; goes before the command, may be repeated")
      ->allow_extra_args(false);
  app.get_formatter()->column_width(34);
  const auto commands = proberace::all_commands();
  std::vector<std::pair<CLI::App*, Command*>> subcommands;
  for (const auto& command : commands) {
    CLI::App* sub = app.add_subcommand(command->name(), command->summary());
    sub->footer("Example: " + command->example() + "\n");
    command->declare(*sub);
    subcommands.emplace_back(sub, command.get());
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return bad_usage(app, error);
  }
  for (const std::string& plugin : plugins)
    if (const proberace::Status loaded = proberace::load_plugin(plugin); !loaded)
      return exit_status(proberace::fail(loaded.error()));
  for (const auto& [sub, command] : subcommands)
    if (sub->parsed())
      return exit_status(command->run());
  return exit_status(Exit::BadUsage);
}
