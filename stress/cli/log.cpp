// proberace log: writes a hit log, judges one, prints one.
#include "harness/base/json_fields.h"
#include "harness/cell/endings.h"
#include "harness/cli/command.h"
#include "harness/judge/site_state.h"
#include "harness/log/hit_log_check.h"
#include "harness/machine/pin_plan.h"
#include "harness/result/table.h"
#include "stress/scenario/explore.h"
#include "stress/scenario/threads_of_free_runs.h"

#include <fmt/format.h>

namespace proberace {

namespace {

class Log final : public Command {
public:
  std::string name() const override { return "log"; }
  std::string summary() const override {
    return "Log every hit and execution of a run; judge and print such a log";
  }
  std::string example() const override { return "proberace log record hits.log --strategy poke+xol-boost"; }

  void declare(CLI::App& app) override {
    app.require_subcommand(1);
    auto* const record = app.add_subcommand("record", "Log a run in which probes come and go");
    record->add_option("file", file_, "The log; it must not exist")->required();
    record->add_option("--strategy", strategy_, "The strategy (proberace list)")->required();
    record->add_option("--threads", workers_, "Threads that execute the probed code")
        ->check(CLI::Range(std::size_t{1}, kMaxWorkers))
        ->capture_default_str();
    record->add_option("--rounds", rounds_, "How often all sites are armed and cleared")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}))
        ->capture_default_str();
    auto* const check = app.add_subcommand("check", "Judge a log: do hits and executions match?");
    check->add_option("file", file_, "The log")->required();
    auto* const print = app.add_subcommand("print", "Print a log's records");
    print->add_option("file", file_, "The log")->required();
    print->add_option("--thread", thread_, "Only this thread's");
    print->add_option("--from", from_, "From this record of the thread on")->capture_default_str();
    print->add_option("--count", count_, "At most so many of each thread")->capture_default_str();
    check->footer("Example: proberace log check hits.log\n");
    print->footer("Example: proberace log print hits.log --thread 1 --from 100 --count 10\n");
    for (CLI::App* const each : {record, check})
      each->add_flag("--json", json_, "Print JSON");
    record->callback([this] { what_ = &Log::record; });
    check->callback([this] { what_ = &Log::check; });
    print->callback([this] { what_ = &Log::print; });
  }

  Exit run() override { return (this->*what_)(); }

private:
  Exit record() {
    constexpr std::size_t kBodies = 3;
    constexpr std::size_t kToggle = 200; // executions
    Scenario scenario = workers_on(strategy_, {{"push", 0}, {"mov", 0}, {"lea-rip", 1}}, workers_);
    scenario.threads.push_back(toggling_thread(kBodies, kToggle, rounds_));
    Exploration e;
    e.scheduler = SchedulerKind::Free;
    e.log = file_;
    start_nursery();
    const Verdict verdict = explore(scenario, e).verdict;
    if (verdict.is(Ending::Refused) || verdict.is(Ending::Skipped))
      return fail(why_not_run(verdict));
    if (json_)
      fmt::print(
          "{}\n",
          Json{{"schema", "proberace/log-record/1"}, {"file", file_}, {"verdict", to_json(verdict)}}.dump(2));
    else
      fmt::print("{}: {}: {}{}\n", file_, proberace::name(verdict.ending), verdict.summary,
                 verdict.data.contains("log")
                     ? fmt::format("; {} executions, {} hits, {} records", verdict.data["executions"].dump(),
                                   verdict.data["hits"].dump(), verdict.data["log"]["records"].dump())
                     : "");
    return verdict.is(Ending::Held) ? Exit::Held : Exit::Counterexample;
  }

  Exit check() {
    const auto log = HitLogReader::open(file_);
    if (!log)
      return fail(log.error());
    const LogCheck c = check_log(*log);
    if (c.held() && c.executions == 0 && c.operations == 0)
      return fail(Error{ErrorKind::BadInput, {}, fmt::format("{}: nothing was logged there", file_)});
    if (json_) {
      Json j{{"schema", "proberace/log-check/1"}, {"file", file_}};
      j.update(write_fields(c));
      fmt::print("{}\n", j.dump(2));
    } else {
      fmt::print("{}: {}: {} records of {} threads: {} executions ({} must count, {} must not), {} hits, {} "
                 "operations{}{}\n",
                 file_, c.held() ? "held" : "BROKEN", c.records, log->threads(), c.executions, c.must,
                 c.must_not, c.hits, c.operations,
                 c.lost != 0 ? fmt::format("; {} records were lost in writing", c.lost) : "",
                 c.unjudged != 0 ? fmt::format("; {} executions could not be judged", c.unjudged) : "");
      for (const std::string& fault : c.faults)
        fmt::print("  {}\n", fault);
      if (c.fault_count > c.faults.size())
        fmt::print("  and {} more\n", c.fault_count - c.faults.size());
    }
    return c.held() ? Exit::Held : Exit::Counterexample;
  }

  Exit print() {
    const auto log = HitLogReader::open(file_);
    if (!log)
      return fail(log.error());
    if (thread_ && *thread_ >= log->threads())
      return fail(Error{ErrorKind::BadInput,
                        {},
                        fmt::format("--thread: {} has {} threads, from 0", file_, log->threads())});
    Table table({"thread", "record", "us", "what", "site", "execution", "state"},
                {true, true, true, false, true, true});
    for (std::size_t thread = thread_.value_or(0); thread < (thread_ ? *thread_ + 1 : log->threads());
         ++thread) {
      std::size_t n = 0;
      log->for_each(thread, [&](const HitRecord& r) {
        if (n >= from_ && n - from_ < count_)
          table.add({std::to_string(thread), std::to_string(r.serial),
                     fmt::format("{:.1f}", log->nanoseconds(r) / 1000), std::string(proberace::name(r.kind)),
                     std::to_string(r.site), std::to_string(r.ticket), state_of(r)});
        ++n;
      });
    }
    fmt::print("{}", table.text());
    return Exit::Held;
  }

  static std::string state_of(const HitRecord& r) {
    if (r.kind == RecordKind::Lost)
      return fmt::format("{} records lost", r.state);
    if (r.kind == RecordKind::Hit || r.kind == RecordKind::Blank)
      return "";
    return fmt::format("{}{}, window {}", SiteState::armed(r.state) ? "armed" : "clear",
                       SiteState::quiet(r.state) ? "" : ", changing", SiteState::window(r.state));
  }

  Exit (Log::*what_)() = nullptr;
  std::string file_;
  std::string strategy_;
  std::size_t workers_ = 2, rounds_ = 50;
  std::optional<std::size_t> thread_;
  std::size_t from_ = 0;
  std::size_t count_ = 40;
  bool json_ = false;
};

const bool log_registered = register_command([] { return std::make_unique<Log>(); });

} // namespace

} // namespace proberace
