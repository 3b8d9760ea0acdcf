// proberace run: probes a program that knows nothing of proberace, and leaves it as it was.
#include "harness/base/failure.h"
#include "harness/base/json_fields.h"
#include "harness/cli/command.h"
#include "harness/file/whole_file.h"
#include "stress/debuggee/run_session.h"

#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <sys/resource.h>
#include <sys/wait.h>

namespace proberace {

namespace {

class Run final : public Command {
public:
  std::string name() const override { return "run"; }
  std::string summary() const override {
    return "Count how often a program executes functions; `proberace symbols` lists their names";
  }
  std::string example() const override { return "proberace run --probe malloc --pid 1234 --duration 10s"; }

  void declare(CLI::App& app) override {
    app.add_option("--probe", probes_,
                   "A function: malloc, libz.so.1:inflate, ./prog:main, 'shop::Cart::add',\n"
                   "memcpy@GLIBC_2.14, 'libz.so.1:inf*', main+4, prog:0x1139; may be repeated")
        ->type_name("NAME")
        ->allow_extra_args(false);
    app.add_option("--all-functions", objects_, "Every function of this object that has a name")
        ->type_name("OBJECT")
        ->allow_extra_args(false);
    app.add_option("--probes-from", file_, "A file with a NAME on each line; -: standard input")
        ->type_name("FILE");
    app.add_option("--pid", pid_, "Probe this running process, until it ends or Ctrl-C")->type_name("PID");
    app.add_option("program", misplaced_, "After --: the program to start, and its arguments");
    app.add_option("--strategy", strategy_,
                   "kernel-uprobe, the default where it can be had, or ptrace:ARMER+STEPPER")
        ->type_name("NAME");
    app.add_flag("--partial", partial_, "Where some probes are refused, probe the others");
    app.add_flag("--linear", linear_,
                 "Also probe what is not seen to be code. If it is data, the program breaks");
    app.add_option("--duration", duration_, "Leave the program after this time: 10s, 500ms, 2min")
        ->transform(duration_in_milliseconds().description(""))
        ->type_name("TIME");
    app.add_option("--interval", interval_, "Print what was hit each second, or TIME, on standard error")
        ->transform(duration_in_milliseconds().description(""))
        ->type_name("[TIME]")
        ->expected(0, 1)
        ->default_str("1s");
    app.add_option("--top", top_, "Print only the N places that were hit most often")
        ->type_name("N")
        ->check(number_from(1).description(""));
    app.add_flag("--json", json_, "Print JSON");
    app.add_option("--out", out_, "Write the report to this file instead of standard output")
        ->type_name("FILE");
  }

  Status take_program(const std::vector<std::string>& words) override {
    command_ = words;
    return {};
  }

  Exit run() override {
    auto request = read_request();
    if (!request)
      return fail(request.error());
    auto session = RunSession::prepare(std::move(*request));
    if (!session)
      return fail(session.error());
    std::optional<WholeFile> out;
    if (!out_.empty()) {
      auto created = WholeFile::create(out_);
      if (!created)
        return fail(created.error());
      out.emplace(std::move(*created));
    }
    if (const Status ran = session->run(); !ran)
      return fail(ran.error());
    const Status printed = print(session->report(), out);
    const Status& done = !session->complete() ? session->complete() : printed;
    if (done)
      return session->exit_status() ? end_like(*session->exit_status()) : Exit::Held;
    const Exit failed = fail(done.error());
    return !command_.empty() && done.error().kind != ErrorKind::BadInput ? kOwnFailure : failed;
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

  std::expected<RunRequest, Error> read_request() {
    if (!misplaced_.empty())
      return bad_input("put -- before the program: -- {}", misplaced_.front());
    if ((pid_ == 0) == command_.empty())
      return bad_input("run needs either a program after --, or --pid");
    auto probes = read_probes();
    if (!probes)
      return std::unexpected(probes.error());
    chosen_ = strategy_.empty();
    RunRequest request{.strategy = chosen_ ? default_run_strategy() : strategy_,
                       .probes = std::move(*probes),
                       .process = pid_,
                       .command = command_,
                       .linear = linear_,
                       .partial = partial_};
    if (duration_ != 0)
      request.duration = std::chrono::milliseconds(duration_);
    if (interval_ != 0)
      request.interval = std::chrono::milliseconds(interval_);
    // A program that was started shares the terminal: whatever is written there looks like its own.
    if (pid_ != 0)
      request.on_attached = [this](const RunReport& report) { say_attached(report); };
    request.on_interval = [this](const RunReport& report) { say_interval(report); };
    return request;
  }

  std::expected<std::vector<ProbeReadings>, Error> read_probes() const {
    std::vector<std::string> texts = probes_;
    for (const std::string& object : objects_)
      texts.push_back(object + ":*");
    if (!file_.empty()) {
      std::ifstream file(file_);
      if (file_ != "-" && !file)
        return bad_input("cannot read '{}', the file with the probes", file_);
      add_lines(file_ == "-" ? std::cin : file, texts);
    }
    if (texts.empty())
      return bad_input("nothing to probe: name a function with --probe, --all-functions or --probes-from");
    std::vector<ProbeReadings> probes;
    for (const std::string& text : texts) {
      auto readings = readings_of(text);
      if (!readings)
        return std::unexpected(readings.error());
      probes.push_back(std::move(*readings));
    }
    return probes;
  }

  // Without blank lines and those that begin with #.
  static void add_lines(std::istream& from, std::vector<std::string>& texts) {
    for (std::string line; std::getline(from, line);) {
      const std::size_t begin = line.find_first_not_of(" \t\r");
      if (begin == std::string::npos || line[begin] == '#')
        continue;
      texts.push_back(line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin));
    }
  }

  void say_attached(const RunReport& report) const {
    const auto name = report.thread_names.find(report.process);
    fmt::print(stderr, "proberace: attached to process {}{}: {} probe{} by {}{}; {}\n", report.process,
               name != report.thread_names.end() ? fmt::format(" ({})", name->second) : "",
               report.sites.size(), report.sites.size() == 1 ? "" : "s", report.strategy,
               chosen_ ? ", the default here" : "",
               duration_ != 0 ? "Ctrl-C removes them earlier" : "Ctrl-C removes them");
  }

  void say_interval(const RunReport& report) {
    fmt::print(stderr, "{}\n", line_since(report, said_, top_));
    said_.clear();
    for (const RunReport::Place& place : report.sites)
      said_.push_back(place.hits);
  }

  Status print(const RunReport& report, std::optional<WholeFile>& out) const {
    const std::string text = json_ ? write_fields(report).dump(2) + "\n" : text_of(report, top_);
    if (out) {
      const Status written = out->write(text);
      return written ? written : bad_input("{}", written.error().message);
    }
    fmt::print("{}", text);
    std::fflush(stdout);
    return {};
  }

  std::string strategy_;
  bool chosen_ = false; // nobody named it
  std::vector<std::string> probes_, objects_;
  std::string file_;
  std::vector<std::string> command_;
  std::vector<std::string> misplaced_; // words that stand where a program would, without --
  std::string out_;
  pid_t pid_ = 0;
  bool partial_ = false, linear_ = false, json_ = false;
  long duration_ = 0, interval_ = 0; // milliseconds
  std::size_t top_ = 0;
  std::vector<std::uint64_t> said_;
};

const bool run_registered = register_command([] { return std::make_unique<Run>(); });

} // namespace

} // namespace proberace
