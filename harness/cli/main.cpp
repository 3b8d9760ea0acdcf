// proberace: one program, one subcommand per file.
#include "harness/base/failure.h"
#include "harness/cli/command.h"
#include "harness/machine/provenance.h"
#include "harness/probe/plugin.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
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

// The first word that is no option, nor an option's value; "" if a command is called so.
std::string unknown_command(const std::vector<std::unique_ptr<Command>>& commands, char** words, char** end) {
  for (char** word = words + 1; word < end; ++word) {
    const std::string_view text = *word;
    if (text == "--plugin")
      ++word;
    else if (!text.starts_with('-'))
      return std::ranges::any_of(commands, [&](const auto& c) { return c->name() == text; }) ? "" : *word;
  }
  return "";
}

// Status 2 if not all that was printed has reached standard output.
int flushed(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0)
    return status;
  fmt::print(stderr, "proberace: cannot write to standard output{}\n",
             errno != 0 ? fmt::format(": {}", std::strerror(errno)) : "");
  return exit_status(Exit::BadUsage);
}

int run(int argc, char** argv) {
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
  // The parser never sees another program's arguments.
  char** const dashes =
      std::find_if(argv, argv + argc, [](const char* word) { return word == std::string_view("--"); });
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_command(commands, argv, dashes);
    if (!unknown.empty() && error.get_name() == "RequiredError")
      return exit_status(proberace::fail(
          proberace::bad_input("no command is called '{}'; see `proberace --help`", unknown).error()));
    return bad_usage(app, error);
  }
  for (const std::string& plugin : plugins)
    if (const proberace::Status loaded = proberace::load_plugin(plugin); !loaded)
      return exit_status(proberace::fail(loaded.error()));
  for (const auto& [sub, command] : subcommands) {
    if (!sub->parsed())
      continue;
    if (dashes != argv + argc)
      if (const proberace::Status taken = command->take_program({dashes + 1, argv + argc}); !taken)
        return exit_status(proberace::fail(taken.error()));
    return exit_status(command->run());
  }
  return exit_status(Exit::BadUsage);
}

} // namespace

int main(int argc, char** argv) {
  try {
    return flushed(run(argc, argv));
  } catch (const std::exception& error) { // among others, of fmt::print, which cannot write
    fmt::print(stderr, "proberace: {}\n", error.what());
    return exit_status(Exit::BadUsage);
  }
}
