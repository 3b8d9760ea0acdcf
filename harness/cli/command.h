// A subcommand of `proberace`, registered by one line in its own file.
#pragma once

#include "harness/base/error.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace proberace {

// The exit status of every subcommand. `run` may also return its program's.
enum class Exit : int {
  Held = 0,           // all held, or the work is done
  Counterexample = 1, // something broke
  BadUsage = 2,       // bad usage or input: one line on stderr says what, where, what to do
  MachineLacks = 3,   // this machine lacks what was asked for: one line says what
};

class Command {
public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;
  virtual std::string summary() const = 0;
  virtual std::string example() const = 0; // a command line that works
  virtual void declare(CLI::App& app) = 0; // options and arguments
  // The words behind "--", as they are: another program and its arguments. BadInput unless the command runs one.
  virtual Status take_program(const std::vector<std::string>& words);
  virtual Exit run() = 0;
};

using CommandFactory = std::function<std::unique_ptr<Command>()>;

// Returns true, so that it can initialise a constant.
bool register_command(CommandFactory factory);
std::vector<std::unique_ptr<Command>> all_commands();

// Prints the one line and returns its status: MachineLacks and NoPermission are 3, the rest 2.
Exit fail(const Error& error);

// Milliseconds from "500ms", "20s", "2min", "1h"; more than none.
CLI::Validator duration_in_milliseconds();

// A whole number without a sign, at least this one. CLI11 takes -1 for the highest number.
CLI::Validator number_from(std::uint64_t least);

} // namespace proberace
