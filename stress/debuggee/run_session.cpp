#include "stress/debuggee/run_session.h"

#include "harness/base/failure.h"
#include "harness/probe/registry.h"
#include "harness/ptrace/proc_status.h"
#include "stress/debuggee/launch.h"
#include "stress/debuggee/program_file.h"
#include "stress/debuggee/uprobe_counters.h"

#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/wait.h>

namespace proberace {

namespace {

constexpr const char* kTakesMost = "ptrace:poke+emulate|xol-vma";

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

// What takes a place that was refused, for the end of a sentence.
std::string instead(const Error& error, const std::string& strategy) {
  switch (error.kind) {
  case ErrorKind::NotABoundary: return "; --linear takes it if it decodes as code";
  case ErrorKind::InstructionUnsupported:
  case ErrorKind::NotTakingEffect:
    return strategy == kTakesMost ? "" : fmt::format("; --strategy '{}' may take it", kTakesMost);
  default: return "";
  }
}

} // namespace

std::string default_run_strategy() {
  return UprobeCounters::has_multi() ? "kernel-uprobe" : kTakesMost;
}

std::expected<RunSession, Error> RunSession::prepare(RunRequest request) {
  RunSession session(std::move(request));
  if (const Status made = session.make_parts(); !made)
    return std::unexpected(made.error());
  if (!session.request_.command.empty())
    if (const Status fit = can_be_started(session.request_.command.front()); !fit)
      return std::unexpected(fit.error());
  return session;
}

Status RunSession::make_parts() {
  const std::string& strategy = request_.strategy;
  if (const auto known = make_prober(strategy); !known)
    return std::unexpected(known.error());
  if (is_reference_peer(strategy)) {
    way_ = uprobe_probes();
    return {};
  }
  const auto parts = parts_of(strategy);
  if (!parts || facts_of(strategy).handled_by != HandledBy::Supervisor)
    return bad_input("'{}' works inside the program only: run takes ptrace:armer+stepper and kernel-uprobe",
                     strategy);
  armer_ = make_armer(parts->armer);
  stepper_ = make_stepper(parts->stepper);
  way_ = traced_probes();
  return {};
}

Status RunSession::run() {
  ProgramWatch watch; // from here on signals wait until the program can be left in order
  std::optional<Launch> launch;
  if (request_.process == 0) {
    auto begun = Launch::begin(request_.command, watch.mask_before());
    if (!begun)
      return std::unexpected(begun.error());
    launch.emplace(std::move(*begun));
  }
  const pid_t process = launch ? launch->process() : request_.process;
  // In a running program before any of its threads is stopped; in a new one once its libraries are there.
  if (!launch)
    if (const Status placed = place(process); !placed)
      return placed;
  Supervisor supervisor(std::move(armer_), std::move(stepper_));
  Status ready = launch || way_->by_tracing() ? supervisor.attach(process) : Status{};
  if (ready && launch) {
    launch->go();
    ready = supervisor.run_to_entry();
    if (const Status executed = launch->executed(); !executed)
      return executed;
    if (ready)
      ready = place(process);
  }
  if (ready && watch.is_asked_to_leave(launch.has_value()))
    ready = bad_input("interrupted before the probes were armed");
  if (ready)
    ready = arm(supervisor, process);
  if (!ready) {
    if (launch)
      ::kill(process, SIGKILL); // it has not begun yet
    (void)supervisor.detach();
    return ready;
  }
  return watch_to_the_end(watch, supervisor, process, launch.has_value());
}

Status RunSession::place(pid_t process) {
  if (threads_of(process).empty())
    return bad_input("there is no process {}", process);
  Target target(live_thread_of(process));
  if (target.address_space().mappings().empty())
    return bad_input("process {} has ended, or its mappings may not be read: run as its user, or as root",
                     process);
  if (request_.linear)
    target.decode_linearly();
  places_ = locate(request_.probes, target);
  return request_.partial && !places_.places.empty() ? Status{} : refusal();
}

Status RunSession::arm(Supervisor& supervisor, pid_t process) {
  auto results = way_->arm(supervisor, process, places_.places);
  if (!results)
    return std::unexpected(results.error());
  for (std::size_t i = 0; i < results->size(); ++i)
    if ((*results)[i])
      armed_.push_back(i);
    else
      places_.refused.push_back({places_.places[i].names, places_.places[i].place, (*results)[i].error()});
  return request_.partial && !armed_.empty() ? Status{} : refusal();
}

// The first that was refused, in words.
Status RunSession::refusal() const {
  if (places_.refused.empty())
    return {};
  const RefusedProbe& first = places_.refused.front();
  const std::size_t others = places_.refused.size() - 1;
  const std::size_t left = armed_.empty() ? places_.places.size() : armed_.size();
  std::string words = first.place.empty() ? "" : first.place + ": ";
  words += first.error.message + instead(first.error, request_.strategy);
  if (others > 0)
    words += fmt::format("; {} other{} refused, too", others, others == 1 ? " is" : "s are");
  if (left > 0 && !request_.partial)
    words += fmt::format("; --partial probes the other {}", left);
  return std::unexpected(Error{first.error.kind, first.error.address, words});
}

Status RunSession::watch_to_the_end(ProgramWatch& watch, Supervisor& supervisor, pid_t process,
                                    bool launched) {
  begin_ = std::chrono::steady_clock::now();
  report_ = {.strategy = request_.strategy, .process = process};
  for (const std::size_t i : armed_) {
    const ProbePlace& p = places_.places[i];
    report_.sites.push_back({joined(p.names), p.place, fmt::format("{:#x}", value(p.site.address))});
  }
  for (const RefusedProbe& r : places_.refused)
    report_.refused.push_back({joined(r.names), r.place, r.error.message});
  names_.look(process);
  report_.thread_names = names_.all();
  auto program = way_->by_tracing() ? std::expected<std::unique_ptr<Watched>, Error>(supervised(supervisor))
                                    : untraced(process, launched);
  if (!program) {
    if (launched)
      ::kill(process, SIGKILL);
    (void)way_->disarm();
    return std::unexpected(program.error());
  }
  if (request_.on_attached)
    request_.on_attached(report_);
  const auto look = [&] {
    names_.look(process);
    take_counts();
    request_.on_interval(report_);
  };
  const ProgramEnd end = watch.until_end(**program, launched, {request_.duration, request_.interval, look});
  names_.look(process);
  const Status counted = way_->disarm();
  take_counts();
  report_.runs_on = !end.ended;
  if (way_->by_tracing())
    report_.execs = supervisor.execs() - (launched ? 1 : 0);
  if (end.status && WIFSIGNALED(*end.status))
    report_.killed_by = signal_name(WTERMSIG(*end.status));
  else if (end.status)
    report_.exit_status = WEXITSTATUS(*end.status);
  if (launched)
    exit_status_ = end.status;
  complete_ = !end.left ? end.left : counted;
  return {};
}

void RunSession::take_counts() {
  const ProgramProbes::Hits hits = way_->hits();
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  for (std::size_t i = 0; i < armed_.size(); ++i) {
    report_.sites[i].threads = hits[armed_[i]];
    report_.sites[i].hits = sum(hits[armed_[i]]);
  }
  report_.thread_names = names_.all();
}

} // namespace proberace
