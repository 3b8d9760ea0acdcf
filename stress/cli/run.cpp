// proberace run: probes a program that knows nothing of proberace, and leaves it as it was.
#include "harness/base/failure.h"
#include "harness/base/json_fields.h"
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"
#include "harness/file/whole_file.h"
#include "harness/probe/registry.h"
#include "harness/ptrace/proc_status.h"
#include "harness/result/table.h"
#include "stress/debuggee/launch.h"
#include "stress/debuggee/program_file.h"
#include "stress/debuggee/program_probes.h"
#include "stress/debuggee/program_watch.h"
#include "stress/debuggee/run_report.h"

#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>

namespace proberace {

namespace {

std::uint64_t sum(const std::map<pid_t, std::uint64_t>& hits) {
  std::uint64_t all = 0;
  for (const auto& [thread, n] : hits)
    all += n;
  return all;
}

// Real-time signals have numbers only.
std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

std::string describe(const ProgramEnd& end) {
  if (!end.status)
    return end.ended ? "has ended" : "runs on";
  if (WIFSIGNALED(*end.status))
    return "killed by " + signal_name(WTERMSIG(*end.status));
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
        ->allow_extra_args(false);
    app.add_option("--pid", pid_, "Probe this running process, until it ends or this command is interrupted");
    app.add_option("--out", out_, "Write the report to this file instead of standard output");
    app.add_option("program", misplaced_, "After --: the program to start, and its arguments");
    app.add_flag(
        "--linear", linear_,
        "Also probe what no jump or call is seen to lead to: it may be data, and then the program breaks");
    app.add_flag("--json", json_, "Print JSON");
  }

  Status take_program(const std::vector<std::string>& words) override {
    command_ = words;
    return {};
  }

  Exit run() override {
    const Status done = probe_program();
    if (done)
      return ended_with_ ? end_like(*ended_with_) : Exit::Held;
    const Exit failed = fail(done.error());
    return launched_ && done.error().kind != ErrorKind::BadInput ? kOwnFailure : failed;
  }

private:
  // As env(1), timeout(1) and others have it; the program's own statuses are more often lower.
  static constexpr Exit kOwnFailure{125};

  // Ends as the program ended, so that a caller sees no difference: with its status, or by its signal.
  static Exit end_like(int status) {
    if (!WIFSIGNALED(status) || std::fflush(stdout) != 0)
      return Exit{WEXITSTATUS(status)};
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(WTERMSIG(status), SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::raise(WTERMSIG(status));
    return Exit{128 + WTERMSIG(status)}; // a signal that ends no process any more
  }

  Status probe_program() {
    if (!misplaced_.empty())
      return std::unexpected(Error{
          ErrorKind::BadInput, {}, fmt::format("put -- before the program: -- {}", misplaced_.front())});
    if ((pid_ == 0) == command_.empty())
      return std::unexpected(Error{ErrorKind::BadInput, {}, "run needs either a program after --, or --pid"});
    const auto specs = parse();
    if (!specs)
      return std::unexpected(specs.error());
    if (const Status parts = make_parts(); !parts)
      return parts;
    if (pid_ == 0)
      if (const Status fit = can_be_started(command_.front()); !fit)
        return fit;
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
      auto begun = Launch::begin(command_, watch.mask_before());
      if (!begun)
        return std::unexpected(begun.error());
      launch.emplace(std::move(*begun));
    }
    const pid_t process = launch ? launch->process() : pid_;
    Target target(live_thread_of(process));
    if (linear_)
      target.decode_linearly();
    std::expected<std::vector<ProbePlace>, Error> places;
    // In a running program before any of its threads is stopped; in a new one once its libraries are there.
    if (!launch) {
      if (threads_of(process).empty())
        return bad_input("there is no process {}", process);
      places = locate(*specs, target);
      if (!places)
        return std::unexpected(places.error());
    }
    Supervisor supervisor(std::move(armer_), std::move(stepper_));
    Status ready = launch || way_->by_tracing() ? supervisor.attach(process) : Status{};
    if (ready && launch) {
      launch->go();
      ready = supervisor.run_to_entry();
      if (const Status executed = launch->executed(); !executed)
        return executed;
      if (ready) {
        places = locate(*specs, target);
        ready = places ? Status{} : std::unexpected(places.error());
      }
    }
    if (ready)
      ready = way_->arm(supervisor, process, *places);
    if (!ready) {
      if (launch)
        ::kill(process, SIGKILL); // it has not begun yet
      (void)supervisor.detach();
      return ready;
    }
    launched_ = launch.has_value();
    auto program = way_->by_tracing() ? std::expected<std::unique_ptr<Watched>, Error>(supervised(supervisor))
                                      : untraced(process, launched_);
    if (!program)
      return std::unexpected(program.error());
    const ProgramEnd end = watch.until_end(**program, launched_);
    if (launched_)
      ended_with_ = end.status;
    const Status counted = way_->disarm();
    const std::optional<int> execs =
        way_->by_tracing() ? std::optional(supervisor.execs() - (launch ? 1 : 0)) : std::nullopt;
    const Status printed = print(json_ ? write_fields(report(process, *places, end, execs)).dump(2) + "\n"
                                       : as_text(process, *places, end, execs),
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
    if (out) {
      const Status written = out->write(text);
      return written ? written : bad_input("{}", written.error().message);
    }
    fmt::print("{}", text);
    std::fflush(stdout);
    return {};
  }

  std::string as_text(pid_t process, const std::vector<ProbePlace>& places, const ProgramEnd& end,
                      std::optional<int> execs) const {
    Table table({"probe", "thread", "hits"}, {false, true, true});
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto hits = way_->hits(i);
      table.add({places[i].names, "all", std::to_string(sum(hits))});
      for (const auto& [thread, n] : hits)
        table.add({"", std::to_string(thread), std::to_string(n)});
    }
    std::string text = fmt::format("{}: process {} {}\n", strategy_, process, describe(end));
    if (execs.value_or(0) > 0)
      text += fmt::format("it executed another program {} time{}: ptrace probes are gone with the old one\n",
                          *execs, *execs == 1 ? "" : "s");
    return text + table.text();
  }

  RunReport report(pid_t process, const std::vector<ProbePlace>& places, const ProgramEnd& end,
                   std::optional<int> execs) const {
    RunReport r{.strategy = strategy_, .process = process, .runs_on = !end.ended, .execs = execs};
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto hits = way_->hits(i);
      r.sites.push_back(
          {places[i].names, fmt::format("{:#x}", value(places[i].site.address)), sum(hits), hits});
    }
    if (end.status && WIFSIGNALED(*end.status))
      r.killed_by = signal_name(WTERMSIG(*end.status));
    else if (end.status)
      r.exit_status = WEXITSTATUS(*end.status);
    return r;
  }

  std::string strategy_;
  std::vector<std::string> probes_;
  std::vector<std::string> command_;
  std::vector<std::string> misplaced_; // words that stand where a program would, without --
  bool launched_ = false;
  std::optional<int> ended_with_; // the launched program, as wait4 gives it
  std::string out_;
  pid_t pid_ = 0;
  bool linear_ = false;
  bool json_ = false;
  std::unique_ptr<Armer> armer_;
  std::unique_ptr<Stepper> stepper_;
  std::unique_ptr<ProgramProbes> way_;
};

const bool run_registered = register_command([] { return std::make_unique<Run>(); });

} // namespace

} // namespace proberace
