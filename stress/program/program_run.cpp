#include "stress/program/program_run.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/properties/probed_code.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

constexpr std::size_t kNoSite = SIZE_MAX;

struct Self {
  ProgramRun* run = nullptr;
  std::size_t thread = 0;
  std::size_t nested = kNoSite; // what the next hit's handler executes
};
// Initial-exec: reached from a signal handler.
[[gnu::tls_model("initial-exec")]] constinit thread_local Self t_self;

int program_signal() {
  return SIGRTMIN;
}

} // namespace

ProgramRun::ProgramRun(const Program& program, Arena& arena, ProgramScratch& scratch, Conductor& conductor,
                       Text text, std::unique_ptr<Prober> prober)
    : program_(program), arena_(arena), scratch_(scratch), conductor_(conductor), text_(std::move(text)),
      prober_(std::move(prober)), before_(CodeSnapshot::of(text_)) {}

Status ProgramRun::open() {
  text_.declare(target_);
  std::vector<Address> addresses;
  for (const PlacedBody& body : text_.bodies())
    addresses.push_back(body.site);
  auto sites = open_with_sites(*prober_, target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  sites_ = std::move(*sites);
  take_handler();
  operations_.resize(threads() + 1);
  observed_.resize(threads() + 1);
  base_.assign(threads() + 1, std::vector<std::uint64_t>(sites_.size()));
  shared_.emplace(Worker::Shared{text_, scratch_.states, tickets_, executions_});
  // Where signals may land inside the hit path, a hit of their handlers may be nested in another, which the
  // hit handler is not called for (prober.h): only the counts judge it.
  const bool may_nest = !prober_->promises().has(Promise::HandlersMayJump);
  shared_nested_.emplace(Worker::Shared{text_, scratch_.states, false, executions_});
  for (std::size_t row = 0; row < ProgramScratch::kRows; ++row)
    workers_.emplace_back(ProgramScratch::nests(row, may_nest) ? *shared_nested_ : *shared_,
                          scratch_.tallies[row], scratch_.notes[row], arena_.points[row]);
  struct sigaction action {};
  action.sa_sigaction = &ProgramRun::on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(program_signal(), &action, nullptr);
  return {};
}

void ProgramRun::take_handler() {
  tickets_ = prober_->set_handler(&ProgramRun::on_hit, this).has_value();
}

Status ProgramRun::begin() {
  if (program_.reopened) {
    note_paths();
    if (const Status closed = prober_->close(); !closed)
      return closed;
    if (const Status opened = prober_->open(target_); !opened)
      return opened;
    take_handler();
  }
  for (auto& row : scratch_.tallies)
    std::fill_n(row, sites_.size(), Tally{});
  for (Observed& o : observed_)
    o.clear.assign(sites_.size(), ClearSite{});
  std::ranges::fill(scratch_.signals_sent, 0U);
  std::ranges::fill(scratch_.signals_handled, 0U);
  Operations& operations = operations_.back();
  if (!program_.armed.empty())
    operate(threads(), ActKind::Insert, program_.armed);
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
  const std::vector<ClearSite>& clear = observed_[thread].clear;
  if (std::ranges::none_of(clear, &ClearSite::known))
    return;
  conductor_.step("look", {});
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (clear[s].known)
      look_whether_still_clear(thread, s);
}

void ProgramRun::note(std::size_t thread, std::string property, std::string summary) {
  Observed& o = observed_[thread];
  if (o.at == 0)
    o = {std::move(o.clear), std::move(property), std::move(summary), conductor_.steps() + 1};
}

// The count must not move while the site is clear: since this thread last saw it clear, whoever removed it.
void ProgramRun::look_whether_still_clear(std::size_t thread, std::size_t site) {
  const std::uint64_t word = scratch_.states[site].read();
  if (!SiteState::quiet(word) || SiteState::armed(word))
    return;
  const std::uint64_t hits = prober_->hits(sites_[site]);
  if (scratch_.states[site].read() != word)
    return;
  ClearSite& before = observed_[thread].clear[site];
  if (before.known && before.word == word && before.hits != hits)
    note(thread, std::string(name(Fault::MovedWhileClear)),
         fmt::format("site {} ({}) was clear, and its count went from {} to {}", site,
                     program_.bodies[site].body, before.hits, hits));
  before = {word, hits, true};
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
    operate(thread, act.kind, act.sites);
    break;
  case ActKind::Signal:
    conductor_.step("signal", at);
    signal(act.thread, act.sites[0]);
    break;
  case ActKind::Fork:
    conductor_.step("fork", at);
    fork_and_execute(thread, act.sites[0], false);
    break;
  case ActKind::Exec:
    conductor_.step("exec", at);
    fork_and_execute(thread, act.sites[0], true);
    break;
  case ActKind::Spawn:
    conductor_.step("spawn", at);
    spawn_and_execute(thread, act.sites[0]);
    break;
  case ActKind::Protect:
    conductor_.step("mprotect", at);
    protect(thread, act.sites[0]);
    break;
  case ActKind::Nest:
    conductor_.step("execute", at);
    if (prober_->promises().has(Promise::Reentrant))
      t_self.nested = act.sites[1];
    execute(thread, act.sites[0]);
    t_self.nested = kNoSite; // it was not hit
    break;
  }
  if (act.kind == ActKind::Remove)
    for (const std::size_t site : act.sites)
      look_whether_still_clear(thread, site);
}

void ProgramRun::execute(std::size_t row, std::size_t site) noexcept {
  workers_[row].execute(site);
  if (scratch_.noted_at[row] == 0 && scratch_.notes[row].count != 0)
    scratch_.noted_at[row] = conductor_.steps() + 1;
}

void ProgramRun::operate(std::size_t thread, ActKind kind, std::span<const std::size_t> sites) {
  Operations& operations = operations_[thread];
  std::vector<Site> batch;
  std::vector<std::uint64_t> before;
  for (const std::size_t i : sites)
    before.push_back(scratch_.states[i].read());
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
    const std::uint64_t after = scratch_.states[sites[k]].read();
    const bool was_armed = SiteState::armed(before[k]);
    const bool told_so =
        !results[k] && results[k].error().kind == (inserting ? ErrorKind::AlreadyArmed : ErrorKind::NotArmed);
    if (SiteState::only_one_between(before[k], after) && results[k].has_value() + told_so == 1 &&
        results[k].has_value() == (was_armed == inserting))
      note(thread, "armed-state",
           fmt::format("site {} ({}) was {}, and {} it {}", sites[k], program_.bodies[sites[k]].body,
                       was_armed ? "armed" : "clear", inserting ? "inserting" : "removing",
                       results[k] ? "succeeded"
                                  : "was told that it " + std::string(inserting ? "is" : "is not")));
  }
}

// signal-safe. When remove has returned, nobody is in the hit handler for the site or comes to it: its owner
// may let what it needs go (prober.h, set_handler).
void ProgramRun::on_hit(Hit& hit, void* raw) {
  auto& run = *static_cast<ProgramRun*>(raw);
  stamp_ticket(hit, nullptr);
  if (const std::size_t nested = std::exchange(t_self.nested, kNoSite); nested != kNoSite) {
    run.conductor_.step("nested", run.sites_[nested].address);
    run.execute(ProgramScratch::nested_row(t_self.thread), nested);
  }
  for (std::size_t s = 0; s < run.sites_.size(); ++s)
    if (run.sites_[s].address == hit.site.address) {
      const std::uint64_t word = run.scratch_.states[s].read();
      if (SiteState::quiet(word) && !SiteState::armed(word))
        run.handled_after_removal_.store(true, std::memory_order_relaxed); // read when the threads have ended
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
  ++scratch_.signals_sent[to];
  raw_syscall(SYS_rt_tgsigqueueinfo, raw_syscall(SYS_getpid), thread, info.si_signo, &info);
  conductor_.signal_sent(thread);
}

void ProgramRun::on_signal(int, siginfo_t* info, void* context) {
  const Self self = t_self;
  if (self.run == nullptr || info->si_code != SI_QUEUE)
    return;
  self.run->look_at_interrupted_pc(self.thread, interrupted_pc(context));
  const auto site = static_cast<std::size_t>(info->si_value.sival_int);
  self.run->conductor_.step("handler", self.run->sites_[site].address);
  self.run->execute(ProgramScratch::handler_row(self.thread), site);
  ++self.run->scratch_.signals_handled[self.thread];
}

// It must lie in code that was there before any probe, if the strategy says so: not in a slot.
void ProgramRun::look_at_interrupted_pc(std::size_t thread, Address pc) {
  if (!prober_->promises().has(Promise::SignalsSeeOriginalPc) ||
      std::ranges::any_of(before_.executable, [&](const Mapping& m) { return m.contains(pc); }))
    return;
  note(thread, "signals-see-original-pc",
       fmt::format("thread {}: a signal's handler saw the PC {:#x}, which is no code of the program's",
                   thread, value(pc)));
}

// The child counts in memory of its own (H72), and runs whatever is armed (H27). It is no part of a
// controlled run: all of it is one step.
void ProgramRun::fork_and_execute(std::size_t thread, std::size_t site, bool exec) noexcept {
  const pid_t child = ::fork();
  if (child == 0) {
    conductor_.forked();
    Mailbox mailbox;
    mailbox.ticket = 1;
    const PlacedBody& body = text_.bodies()[site];
    const bool right = proberace_call_body(bytes_at(body.entry), 1, 1, &mailbox) == expected_result(1);
    if (right && exec)
      ::execl("/bin/true", "true", nullptr);
    ::_exit(right && !exec ? 0 : 1);
  }
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child < 0 || status != 0)
    note(thread, "fork-safe",
         fmt::format("a forked child that executed site {} ({}){} {}", site, program_.bodies[site].body,
                     exec ? " and another program then" : "",
                     WIFSIGNALED(status) ? fmt::format("died of SIG{}", sigabbrev_np(WTERMSIG(status)))
                                         : "had a wrong result"));
}

// As it is: what the program says of its own code's pages must neither fail nor take a probe away (H15).
void ProgramRun::protect(std::size_t thread, std::size_t site) {
  const Address page = page_of(sites_[site].address);
  if (::mprotect(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC) != 0)
    note(thread, "mprotect",
         fmt::format("mprotect of the page of site {} ({}): {}", site, program_.bodies[site].body,
                     strerrordesc_np(errno)));
}

void ProgramRun::spawn_and_execute(std::size_t thread, std::size_t site) {
  std::thread([&] { execute(ProgramScratch::spawned_row(thread), site); }).join();
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
