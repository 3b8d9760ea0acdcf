// proberace run: probes a program that knows nothing of proberace, and leaves it as it was.
#include "harness/base/json_fields.h"
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"
#include "harness/file/whole_file.h"
#include "harness/probe/registry.h"
#include "harness/result/table.h"
#include "stress/debuggee/launch.h"
#include "stress/debuggee/program_probes.h"
#include "stress/debuggee/program_watch.h"
#include "stress/debuggee/run_report.h"

#include <cstring>
#include <fmt/format.h>
#include <sys/wait.h>

namespace proberace {

namespace {

std::uint64_t sum(const std::map<pid_t, std::uint64_t>& hits) {
  std::uint64_t all = 0;
  for (const auto& [thread, n] : hits)
    all += n;
  return all;
}

std::string describe(const ProgramEnd& end) {
  if (!end.status)
    return end.ended ? "has ended" : "runs on";
  if (WIFSIGNALED(*end.status))
    return fmt::format("killed by SIG{}", ::sigabbrev_np(WTERMSIG(*end.status)));
  return fmt::format("exited with status {}", WEXITSTATUS(*end.status));
}

class Run final : public Command {
public:
  std::string name() const override { return "run"; }
  std::string summary() const override {
    return "Probe another program, started or running, and count its hits";
  }
  std::string example() const override {
    return "proberace run --strategy ptrace:stop-world+xol-vma --probe libc.so.6:getppid -- /usr/bin/python3 "
           "x.py";
  }

  void declare(CLI::App& app) override {
    app.add_option("--strategy", strategy_, "ptrace:ARMER+STEPPER, or kernel-uprobe (see `proberace list`)")
        ->required();
    app.add_option(
           "--probe", probes_,
           "Where to probe: LIBRARY:SYMBOL[+OFFSET]. LIBRARY is the end of a file's path; may be repeated")
        ->required()
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--pid", pid_, "Probe this running process, until it ends or this command is interrupted");
    app.add_option("--out", out_, "Write the report to this file instead of standard output");
    app.add_option("program", command_, "The program to start and its arguments, after --");
    app.add_flag("--json", json_, "Print JSON");
  }

  Exit run() override {
    const Status done = probe_program();
    return done ? Exit::Held : fail(done.error());
  }

private:
  Status probe_program() {
    if ((pid_ == 0) == command_.empty())
      return std::unexpected(Error{ErrorKind::BadInput, {}, "run needs either a program after --, or --pid"});
    const auto specs = parse();
    if (!specs)
      return std::unexpected(specs.error());
    if (const Status parts = make_parts(); !parts)
      return parts;
    std::optional<WholeFile> out;
    if (!out_.empty()) {
      auto created = WholeFile::create(out_);
      if (!created)
        return std::unexpected(created.error());
      out.emplace(std::move(*created));
    }
    ProgramWatch watch; // from here on signals wait until the program can be left in order
    std::optional<Launch> launch;
    if (pid_ == 0) {
      auto begun = Launch::begin(command_);
      if (!begun)
        return std::unexpected(begun.error());
      launch.emplace(std::move(*begun));
    }
    Supervisor supervisor(std::move(armer_), std::move(stepper_));
    const pid_t process = launch ? launch->process() : pid_;
    Status ready = supervisor.attach(process);
    if (ready && launch) {
      launch->go();
      ready = supervisor.run_to_entry();
      if (const Status executed = launch->executed(); !executed)
        return executed;
    }
    const Target target(process);
    std::vector<ProbePlace> places;
    for (const ProbeSpec& spec : ready ? *specs : std::vector<ProbeSpec>{}) {
      const auto place = locate(spec, target);
      if (!place) {
        ready = std::unexpected(place.error());
        break;
      }
      places.push_back(*place);
    }
    if (ready)
      ready = way_->arm(supervisor, places);
    if (!ready) {
      if (launch)
        ::kill(process, SIGKILL); // it has not begun yet
      (void)supervisor.detach();
      return ready;
    }
    const ProgramEnd end = watch.until_end(supervisor);
    const Status counted = way_->disarm();
    const int execs = supervisor.execs() - (launch ? 1 : 0);
    const Status printed = print(json_ ? write_fields(report(process, places, end, execs)).dump(2) + "\n"
                                       : as_text(process, places, end, execs),
                                 out);
    return !end.left ? end.left : !counted ? counted : printed;
  }

  std::expected<std::vector<ProbeSpec>, Error> parse() const {
    std::vector<ProbeSpec> specs;
    for (const std::string& text : probes_) {
      auto spec = parse_probe(text);
      if (!spec)
        return std::unexpected(spec.error());
      specs.push_back(std::move(*spec));
    }
    return specs;
  }

  Status make_parts() {
    if (const auto known = make_prober(strategy_); !known)
      return std::unexpected(known.error());
    if (is_reference_peer(strategy_)) {
      way_ = uprobe_probes();
      return {};
    }
    const auto parts = parts_of(strategy_);
    if (!parts || facts_of(strategy_).handled_by != HandledBy::Supervisor)
      return std::unexpected(
          Error{ErrorKind::BadInput,
                {},
                fmt::format("'{}' works inside the program only: run takes ptrace:armer+stepper "
                            "and kernel-uprobe",
                            strategy_)});
    armer_ = make_armer(parts->armer);
    stepper_ = make_stepper(parts->stepper);
    way_ = traced_probes();
    return {};
  }

  static Status print(const std::string& text, std::optional<WholeFile>& out) {
    if (out)
      return out->write(text);
    fmt::print("{}", text);
    std::fflush(stdout);
    return {};
  }

  std::string as_text(pid_t process, const std::vector<ProbePlace>& places, const ProgramEnd& end,
                      int execs) const {
    Table table({"probe", "thread", "hits"}, {false, true, true});
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto hits = way_->hits(i);
      table.add({places[i].spec.text, "all", std::to_string(sum(hits))});
      for (const auto& [thread, n] : hits)
        table.add({"", std::to_string(thread), std::to_string(n)});
    }
    std::string text = fmt::format("{}: process {} {}\n", strategy_, process, describe(end));
    if (execs > 0)
      text += fmt::format("it executed another program {} time{}: ptrace probes are gone with the old one\n",
                          execs, execs == 1 ? "" : "s");
    return text + table.text();
  }

  RunReport report(pid_t process, const std::vector<ProbePlace>& places, const ProgramEnd& end,
                   int execs) const {
    RunReport r{.strategy = strategy_, .process = process, .runs_on = !end.ended, .execs = execs};
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto hits = way_->hits(i);
      r.sites.push_back(
          {places[i].spec.text, fmt::format("{:#x}", value(places[i].site.address)), sum(hits), hits});
    }
    if (end.status && WIFSIGNALED(*end.status))
      r.killed_by = fmt::format("SIG{}", ::sigabbrev_np(WTERMSIG(*end.status)));
    else if (end.status)
      r.exit_status = WEXITSTATUS(*end.status);
    return r;
  }

  std::string strategy_;
  std::vector<std::string> probes_;
  std::vector<std::string> command_;
  std::string out_;
  pid_t pid_ = 0;
  bool json_ = false;
  std::unique_ptr<Armer> armer_;
  std::unique_ptr<Stepper> stepper_;
  std::unique_ptr<ProgramProbes> way_;
};

const bool run_registered = register_command([] { return std::make_unique<Run>(); });

} // namespace

} // namespace proberace
