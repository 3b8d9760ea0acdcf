// One probed program from its start, or from attaching to it, to its end or until it is left.
#pragma once

#include "stress/debuggee/program_probes.h"
#include "stress/debuggee/program_watch.h"
#include "stress/debuggee/run_report.h"
#include "stress/debuggee/thread_names.h"

#include <functional>

namespace proberace {

struct RunRequest {
  std::string strategy; // "ptrace:ARMER+STEPPER", or the kernel's uprobes
  std::vector<ProbeReadings> probes;
  pid_t process = 0;                // running; 0: `command` is started
  std::vector<std::string> command; // program and arguments
  bool linear = false;              // probe what is not seen to be code, too
  bool partial = false;             // probe the others where some are refused
  std::optional<std::chrono::milliseconds> duration{}, interval{};
  std::function<void(const RunReport&)> on_attached{}, on_interval{};
};

// The kernel's uprobes where a thousand can be attached at once; else tracing, by the stepper that takes most.
std::string default_run_strategy();

class RunSession {
public:
  // Nothing is started or touched yet. BadInput.
  static std::expected<RunSession, Error> prepare(RunRequest request);

  // The error if the program never ran probed. A launched one is ended then, another one is left as it was.
  Status run();

  // Precondition of the rest: run() succeeded.
  const RunReport& report() const noexcept { return report_; }
  // Of a launched program, as wait4 gives it.
  std::optional<int> exit_status() const noexcept { return exit_status_; }
  // The error says what was not left as it was, or which counts are not whole.
  const Status& complete() const noexcept { return complete_; }

private:
  explicit RunSession(RunRequest request) : request_(std::move(request)) {}
  Status make_parts();
  Status place(pid_t process);
  Status arm(Supervisor& supervisor, pid_t process);
  Status refusal() const;
  Status watch_to_the_end(ProgramWatch& watch, Supervisor& supervisor, pid_t process, bool launched);
  void take_counts();

  RunRequest request_;
  std::unique_ptr<Armer> armer_{};
  std::unique_ptr<Stepper> stepper_{};
  std::unique_ptr<ProgramProbes> way_{};
  ProbePlaces places_{};
  std::vector<std::size_t> armed_{}; // which of the places
  ThreadNames names_{};
  std::chrono::steady_clock::time_point begin_{};
  RunReport report_{};
  std::optional<int> exit_status_{};
  Status complete_{};
};

} // namespace proberace
