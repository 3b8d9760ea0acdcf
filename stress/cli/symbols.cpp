// proberace symbols: the functions that `proberace run` can be told to probe by name.
#include "harness/base/json_fields.h"
#include "stress/cli/options.h"
#include "stress/names/symbol_list.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Symbols final : public Command {
public:
  std::string name() const override { return "symbols"; }
  std::string summary() const override {
    return "List the functions that run can probe by name, in a file or a running process";
  }
  std::string example() const override { return "proberace symbols 1234 'libc.so.6:mem*'"; }

  void declare(CLI::App& app) override {
    app.add_option("subject", subject_, "A process' id, an ELF file, or a program in PATH")
        ->required()
        ->type_name("PROGRAM|PID|FILE");
    app.add_option("name", wanted_, "Only these: a name or a pattern, written as for run --probe")
        ->type_name("NAME");
    options_.declare(app, {Shared::AsJson});
  }

  Exit run() override {
    const auto list = list_symbols(subject_, wanted_);
    if (!list)
      return fail(list.error());
    fmt::print("{}", options_.json ? write_fields(*list).dump(2) + "\n" : text_of(*list));
    return Exit::Held;
  }

private:
  Options options_;
  std::string subject_, wanted_;
};

const bool symbols_registered = register_command([] { return std::make_unique<Symbols>(); });

} // namespace

} // namespace proberace
