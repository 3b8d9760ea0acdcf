#include "stress/program/program_run.h"

#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/properties/probed_text.h"

#include <csignal>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

struct Self {
  ProgramRun* run = nullptr;
  std::size_t thread = 0;
};
// Initial-exec: reached from a signal handler.
[[gnu::tls_model("initial-exec")]] constinit thread_local Self t_self;

int program_signal() {
  return SIGRTMIN;
}

std::size_t handler_row(std::size_t thread) {
  return kMaxProgramThreads + thread;
}

} // namespace

ProgramRun::ProgramRun(const Program& program, Arena& arena, ProgramScratch& scratch, Conductor& conductor,
                       Text text, std::unique_ptr<Prober> prober)
    : program_(program), arena_(arena), scratch_(scratch), conductor_(conductor), text_(std::move(text)),
      prober_(std::move(prober)), before_(CodeSnapshot::of(text_)) {}

Status ProgramRun::open() {
  text_.declare(target_);
  for (const PlacedBody& body : text_.bodies()) {
    const auto site = target_.site_at(body.site);
    if (!site)
      return std::unexpected(site.error());
    sites_.push_back(*site);
  }
  operations_.resize(threads() + 1);
  base_.assign(threads() + 1, std::vector<std::uint64_t>(sites_.size()));
  if (const Status opened = open_prober(); !opened)
    return opened;
  shared_.emplace(Worker::Shared{text_, scratch_.states, tickets_, executions_});
  // Where signals may land inside the hit path, a hit of their handlers may be nested in another, which the
  // hit handler is not called for (prober.h): only the counts judge it.
  const bool may_nest = !prober_->promises().has(Promise::HandlersMayJump);
  shared_in_handlers_.emplace(Worker::Shared{text_, scratch_.states, tickets_ && !may_nest, executions_});
  for (std::size_t row = 0; row < ProgramScratch::kRows; ++row)
    workers_.emplace_back(row < kMaxProgramThreads ? *shared_ : *shared_in_handlers_, scratch_.tallies[row],
                          scratch_.notes[row], arena_.points[row]);
  struct sigaction action {};
  action.sa_sigaction = &ProgramRun::on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(program_signal(), &action, nullptr);
  return {};
}

Status ProgramRun::open_prober() {
  const Status opened = prober_->open(target_);
  if (opened)
    tickets_ = prober_->set_handler(&stamp_ticket, nullptr).has_value();
  return opened;
}

Status ProgramRun::begin() {
  if (program_.reopened) {
    note_paths();
    if (const Status closed = prober_->close(); !closed)
      return closed;
    if (const Status opened = open_prober(); !opened)
      return opened;
  }
  for (auto& row : scratch_.tallies)
    std::fill_n(row, sites_.size(), Tally{});
  Operations& operations = operations_.back();
  if (!program_.armed.empty())
    operate(ActKind::Insert, program_.armed, operations);
  if (operations.refusal)
    return std::unexpected(*operations.refusal);
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    base_.back()[s] = prober_->hits(sites_[s]);
    for (std::size_t t = 0; t < threads(); ++t)
      base_[t][s] = prober_->hits(sites_[s], scratch_.threads[t]).value_or(0);
  }
  return {};
}

void ProgramRun::perform(std::size_t thread) noexcept {
  if (t_self.run == nullptr) {
    t_self = {this, thread};
    scratch_.threads[thread] = current_thread();
    arena_.points[thread].thread.store(current_thread(), std::memory_order_relaxed); // evidence only
  }
  for (const Act& act : program_.threads[thread])
    apply(thread, act);
}

void ProgramRun::apply(std::size_t thread, const Act& act) noexcept {
  const Address at = sites_[act.sites[0]].address;
  switch (act.kind) {
  case ActKind::Execute:
    conductor_.step("execute", at);
    execute(thread, act.sites[0]);
    break;
  case ActKind::Insert:
  case ActKind::Remove:
    conductor_.step(act.kind == ActKind::Insert ? "insert" : "remove", at);
    operate(act.kind, act.sites, operations_[thread]);
    break;
  case ActKind::Signal:
    conductor_.step("signal", at);
    signal(act.thread, act.sites[0]);
    break;
  }
}

void ProgramRun::execute(std::size_t row, std::size_t site) noexcept {
  workers_[row].execute(site);
  if (scratch_.noted_at[row] == 0 && scratch_.notes[row].count != 0)
    scratch_.noted_at[row] = conductor_.steps() + 1;
}

void ProgramRun::operate(ActKind kind, std::span<const std::size_t> sites, Operations& operations) {
  std::vector<Site> batch;
  for (const std::size_t i : sites) {
    scratch_.states[i].begin();
    batch.push_back(sites_[i]);
  }
  const bool inserting = kind == ActKind::Insert;
  const SiteResults results = inserting ? prober_->insert(batch) : prober_->remove(batch);
  for (std::size_t k = 0; k < results.size(); ++k) {
    scratch_.states[sites[k]].end(results[k].has_value());
    if (results[k])
      ++(inserting ? operations.inserted : operations.removed);
    else if (results[k].error().kind != ErrorKind::AlreadyArmed &&
             results[k].error().kind != ErrorKind::NotArmed && !operations.refusal)
      operations.refusal = results[k].error();
  }
}

// sigqueue(3) to one thread: a real-time signal is queued, so that none gets lost.
void ProgramRun::signal(std::size_t to, std::size_t site) noexcept {
  const pid_t thread = scratch_.threads[to];
  if (thread == 0)
    return; // it has not begun
  siginfo_t info{};
  info.si_signo = program_signal();
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = static_cast<int>(site);
  raw_syscall(SYS_rt_tgsigqueueinfo, raw_syscall(SYS_getpid), thread, info.si_signo, &info);
  conductor_.signal_sent(thread);
}

void ProgramRun::on_signal(int, siginfo_t* info, void*) {
  const Self self = t_self;
  if (self.run == nullptr || info->si_code != SI_QUEUE)
    return;
  const auto site = static_cast<std::size_t>(info->si_value.sival_int);
  self.run->conductor_.step("handler", self.run->sites_[site].address);
  self.run->execute(handler_row(self.thread), site);
}

Tally ProgramRun::of_thread(std::size_t thread, std::size_t site) const {
  Tally sum = scratch_.tallies[thread][site];
  sum += scratch_.tallies[handler_row(thread)][site];
  return sum;
}

std::optional<Verdict> ProgramRun::judge_faults() const {
  for (std::size_t row = 0; row < ProgramScratch::kRows; ++row) {
    const FaultNote& note = scratch_.notes[row];
    const Fault fault = note.fault.load(std::memory_order_acquire); // pairs with Worker::report
    if (fault == Fault::None)
      continue;
    const std::size_t thread = row % kMaxProgramThreads;
    Verdict v = broken(std::string(name(fault)),
                       fmt::format("{} on thread {}{}, site {} ({}): hit {} times", name(fault), thread,
                                   row == thread ? "" : " in a signal handler", note.site,
                                   program_.bodies[note.site].body, note.hits));
    v.evidence =
        Json{{"thread", thread},
             {"in_signal_handler", row != thread},
             {"site", note.site},
             {"execution", note.ticket},
             {"hits", note.hits},
             {"result", note.result},
             {"expected_result", expected_result(note.ticket)},
             {"step", scratch_.noted_at[row] == 0 ? Json(nullptr) : Json(scratch_.noted_at[row] - 1)}};
    return v;
  }
  return std::nullopt;
}

std::optional<Verdict> ProgramRun::judge_counts() const {
  const auto wrong = [&](std::size_t site, const std::string& whose, std::uint64_t hits, const Tally& tally) {
    Verdict v = broken(std::string(name(Fault::WrongCount)),
                       fmt::format("site {} ({}), {}: {} hits, where {} must and {} may have counted", site,
                                   program_.bodies[site].body, whose, hits, tally.must, tally.may()));
    v.evidence = Json{{"site", site}, {"hits", hits}, {"must", tally.must}, {"may", tally.may()}};
    return v;
  };
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    Tally all;
    for (std::size_t t = 0; t < threads(); ++t) {
      const Tally tally = of_thread(t, s);
      all += tally;
      const auto hits = prober_->hits(sites_[s], scratch_.threads[t]);
      if (hits && scratch_.threads[t] != 0 && !tally.admits(*hits - base_[t][s]))
        return wrong(s, fmt::format("thread {}", t), *hits - base_[t][s], tally);
    }
    const std::uint64_t hits = prober_->hits(sites_[s]) - base_.back()[s];
    if (!all.admits(hits))
      return wrong(s, "all threads", hits, all);
  }
  return std::nullopt;
}

// Nothing is armed: the bytes are the file's, and executions do not count.
std::optional<Verdict> ProgramRun::judge_bytes() {
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    const PlacedBody& placed = text_.bodies()[s];
    std::vector<std::uint8_t> now(placed.body->bytes());
    const bool readable = read_memory(placed.entry, now);
    if (!readable || !std::equal(now.begin(), now.end(), placed.body->code))
      return broken(
          std::string(name(Fault::NotRestored)),
          fmt::format("site {} ({}): its bytes are not back after removal", s, program_.bodies[s].body));
    const std::uint64_t hits = prober_->hits(sites_[s]);
    workers_[0].execute(s);
    if (prober_->hits(sites_[s]) != hits)
      return broken(std::string(name(Fault::MovedWhileClear)),
                    fmt::format("site {} ({}) was clear, and its count moved", s, program_.bodies[s].body));
  }
  return std::nullopt;
}

std::optional<Verdict> ProgramRun::judge() {
  if (auto wrong = judge_faults())
    return wrong;
  if (auto wrong = judge_counts())
    return wrong;
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    hits_ += prober_->hits(sites_[s]) - base_.back()[s];
    for (const auto& row : scratch_.tallies)
      all_ += row[s];
  }
  std::vector<std::size_t> armed;
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (SiteState::armed(scratch_.states[s].read()))
      armed.push_back(s);
  Operations& operations = operations_.back();
  if (!armed.empty()) {
    const std::uint64_t before = operations.removed;
    operate(ActKind::Remove, armed, operations);
    if (operations.removed - before != armed.size())
      return broken("removal", operations.refusal ? describe(*operations.refusal)
                                                  : "a probe that is armed was not removed");
  }
  if (auto wrong = judge_bytes())
    return wrong;
  return judge_faults(); // of the executions since
}

std::optional<Verdict> ProgramRun::close() {
  note_paths();
  if (const Status closed = prober_->close(); !closed)
    return broken(std::string(name(Fault::NotRestored)), describe(closed.error()));
  if (const std::string difference = before_.difference(CodeSnapshot::of(text_)); !difference.empty())
    return broken(std::string(name(Fault::NotRestored)), difference);
  return std::nullopt;
}

void ProgramRun::note_paths() {
  const PathCounts now = prober_->paths();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths_.taken[i] += now.taken[i];
}

Json ProgramRun::data() const {
  Json paths = Json::object();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths[std::string(name(static_cast<Path>(i)))] = paths_.taken[i];
  Operations all;
  for (const Operations& o : operations_) {
    all.inserted += o.inserted;
    all.removed += o.removed;
    if (!all.refusal)
      all.refusal = o.refusal;
  }
  return Json{{"executions", all_.started},
              {"must", all_.must},
              {"may", all_.may()},
              {"must_not", all_.must_not},
              {"hits", hits_},
              {"inserted", all.inserted},
              {"removed", all.removed},
              {"first_refusal", all.refusal ? Json(describe(*all.refusal)) : Json(nullptr)},
              {"judged_by_ticket", tickets_},
              {"paths", std::move(paths)}};
}

} // namespace proberace
