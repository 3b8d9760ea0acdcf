#include "stress/scenario/scenario_run.h"

#include "harness/base/json.h"
#include "harness/base/threads.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/signal_state.h"
#include "stress/scenario/signals.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <random>
#include <thread>

namespace proberace {

namespace {

constexpr std::size_t kInARow = 16;
constexpr int kLooksAtThreads = 1000;

// A delay, so that threads interleave differently each time.
void idle(std::size_t iterations) noexcept {
  for (std::size_t i = 0; i < iterations; ++i)
    asm volatile("");
}

} // namespace

ScenarioRun::ScenarioRun(const Scenario& scenario, Arena& arena, ScenarioScratch& scratch,
                         Conductor& conductor, Text text, std::unique_ptr<Prober> prober)
    : scenario_(scenario), rows_(scenario.threads.size()), arena_(arena), scratch_(scratch),
      conductor_(conductor), controlled_(conductor.controls()), text_(std::move(text)),
      prober_(std::move(prober)), leaves_(some_act_has(scenario, kLeaves)) {
  logs_.resize(rows_.count() + 1); // the last: of who removes what is left
}

ScenarioRun::~ScenarioRun() = default;

Status ScenarioRun::open() {
  Signals::take(prober_->promises());
  before_ = CodeSnapshot::of(text_);
  text_.declare(target_);
  std::vector<Address> addresses;
  for (const PlacedBody& body : text_.bodies())
    addresses.push_back(body.site);
  auto sites = open_with_sites(*prober_, target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  sites_ = std::move(*sites);
  site_index_ = SiteIndex(sites_);
  std::ranges::copy(addresses, scratch_.sites);
  take_handler();
  if (log_ && !tickets_)
    return std::unexpected(
        Error{ErrorKind::Unsupported,
              {},
              scenario_.unhandled
                  ? std::string("the scenario is 'unhandled', so hits cannot be logged")
                  : fmt::format("{} calls no hit handler, so hits cannot be logged", prober_->name())});
  for (const ActRow& row : kActs)
    does_[static_cast<std::size_t>(row.kind)] =
        (!row.needs || prober_->promises().has(*row.needs)) && (tickets_ || !row.has(kNeedsHandler));
  operations_.resize(threads() + 1);
  observed_.resize(threads() + 1);
  deeds_.resize(threads());
  kept_texts_.resize(threads());
  children_.resize(threads());
  base_.assign(threads() + 1, std::vector<std::uint64_t>(sites_.size()));
  shared_.emplace(Worker::Shared{text_, scratch_.states, tickets_, executions_, words_});
  // Where signals may land inside the hit path, a hit of their handlers may be nested in another, which the
  // hit handler is not called for (prober.h): only the counts judge it.
  const bool may_nest = !prober_->promises().has(Promise::HandlersMayJump);
  shared_nested_.emplace(Worker::Shared{text_, scratch_.states, false, executions_, words_});
  for (std::size_t row = 0; row < rows_.count(); ++row)
    workers_.emplace_back(rows_.nests(row, may_nest) ? *shared_nested_ : *shared_, scratch_.tallies[row],
                          scratch_.notes[row], arena_.points[row], logs_[row]);
  for (std::size_t row = 0; row < rows_.count(); ++row)
    workers_[row].hold(word_of(row));
  return {};
}

Status ScenarioRun::log_to(const std::string& path) {
  std::vector<std::size_t> rings;
  for (std::size_t t = 0; t < threads(); ++t) {
    rings.push_back(rows_.own(t));
    for (const Act& act : scenario_.threads[t].acts)
      switch (act.kind) {
      case ActKind::Run:
      case ActKind::Insert:
      case ActKind::Remove:
      case ActKind::Pause: break;
      case ActKind::Spawn: rings.push_back(rows_.spawned(t)); break;
      default:
        return std::unexpected(
            Error{ErrorKind::BadInput, {}, fmt::format("'{}' cannot be logged", row_of(act.kind).word)});
      }
  }
  rings.push_back(rows_.count());
  rings.erase(std::ranges::unique(rings).begin(), rings.end());
  Json bodies = Json::array();
  for (const PlacedName& b : scenario_.bodies) {
    if (body_named(b.body)->passes != 1)
      return std::unexpected(
          Error{ErrorKind::BadInput,
                {},
                fmt::format("'{}' cannot be logged: one call of it is hit several times", b.body)});
    bodies.push_back(b.body);
  }
  auto log =
      HitLog::create(path, {.threads = rings.size(),
                            .about = Json{{"strategy", scenario_.strategy}, {"sites", std::move(bodies)}}});
  if (!log)
    return std::unexpected(log.error());
  log_ = std::move(*log);
  for (const std::size_t row : rings)
    logs_[row] = log_->join();
  return {};
}

Status ScenarioRun::close_log(Json& data) {
  if (!log_)
    return {};
  const auto totals = log_->close();
  if (!totals) {
    data["log_error"] = describe(totals.error());
    return std::unexpected(totals.error());
  }
  data["log"] = Json{{"records", totals->records},
                     {"lost", totals->lost},
                     {"bytes", totals->bytes},
                     {"way", name(totals->way)}};
  return {};
}

void ScenarioRun::take_handler() {
  tickets_ = !scenario_.unhandled && prober_->set_handler(&Signals::on_hit, this).has_value();
}

Status ScenarioRun::begin() {
  if (scenario_.reopened || closed_) {
    note_paths();
    if (const Status closed = closed_ ? Status{} : prober_->close(); !closed)
      return closed;
    closed_ = false;
    Signals::take_traps_otherwise();
    before_.actions[SIGTRAP - 1] = current_signal_action(SIGTRAP);
    if (const Status opened = prober_->open(target_); !opened)
      return opened;
    take_handler();
  }
  for (std::size_t row = 0; row < rows_.count(); ++row)
    std::fill_n(scratch_.tallies[row], sites_.size(), Tally{});
  for (Observed& o : observed_)
    o.clear.assign(sites_.size(), ClearSite{});
  std::fill_n(scratch_.signals_sent, threads(), 0U);
  std::fill_n(scratch_.signals_handled, threads(), 0U);
  Operations& operations = operations_.back();
  if (!scenario_.armed.empty())
    operate(threads(), true, scenario_.armed);
  if (operations.refusal && !observed_.back().at) // else it is judged
    return std::unexpected(*operations.refusal);
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    base_.back()[s] = prober_->hits(sites_[s]);
    for (std::size_t t = 0; t < threads(); ++t)
      base_[t][s] = scratch_.threads[t] == 0 ? 0 : prober_->hits(sites_[s], scratch_.threads[t]).value_or(0);
  }
  return {};
}

void ScenarioRun::enlist(std::size_t thread) noexcept {
  Signals::enlist(*this, thread);
  scratch_.threads[thread] = current_thread();
  arena_.points[thread].thread.store(current_thread(), std::memory_order_relaxed); // evidence only
}

void ScenarioRun::perform(std::size_t thread) noexcept {
  const ScenarioThread& self = scenario_.threads[thread];
  const SignalState before = SignalState::of_this_thread();
  for (std::size_t round = 0; round < self.rounds; ++round)
    for (const Act& act : self.acts) {
      const ActRow& row = row_of(act.kind);
      if (row.has(kLastRound) && round + 1 != self.rounds)
        continue;
      if (act.kind != ActKind::Run) // it takes a step for each execution
        conductor_.step(row.step, act.bodies.empty() ? Address{} : sites_[act.bodies[0]].address);
      if (!does(row))
        continue;
      ++deeds_[thread].acts[static_cast<std::size_t>(act.kind)];
      row.perform(*this, thread, act);
    }
  if (const std::string difference = before.difference(SignalState::of_this_thread()); !difference.empty())
    note(thread, property_name(BrokenProperty::SignalState),
         fmt::format("thread {}: {}", thread, difference));
  const std::vector<ClearSite>& clear = observed_[thread].clear;
  if (std::ranges::none_of(clear, &ClearSite::known))
    return;
  conductor_.step("look", {});
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (clear[s].known)
      look_whether_still_clear(thread, s);
}

bool ScenarioRun::does(const ActRow& row) const noexcept {
  return does_[static_cast<std::size_t>(row.kind)];
}

// Under control each execution is a step. In a free run this is the loop that workers spend their time in.
void ScenarioRun::run_bodies(std::size_t thread, const Act& act) noexcept {
  if (controlled_) {
    const std::size_t times = act.times == kUntilDone ? 1 : act.times;
    for (std::size_t n = 0; n < times; ++n)
      for (const std::size_t body : act.bodies) {
        conductor_.step(row_of(ActKind::Run).step, sites_[body].address);
        execute_own(thread, body);
      }
    return;
  }
  std::minstd_rand random(static_cast<unsigned>(thread + 1));
  const std::size_t bodies = act.bodies.size();
  const std::size_t least = act.times == kUntilDone ? kExecutionsAtLeast : act.times * bodies;
  const bool until_done = act.times == kUntilDone;
  std::size_t at = 0;
  for (std::size_t n = 0; n < least || (until_done && !done_.load(std::memory_order_relaxed)); ++n) {
    if (until_done && in_a_row())
      workers_[rows_.own(thread)].execute_in_a_row(act.bodies[at], kInARow);
    else
      execute_own(thread, act.bodies[at]);
    at = at + 1 == bodies ? 0 : at + 1;
    if (act.jitter != 0)
      idle(random() % act.jitter);
    if (workers_[rows_.own(thread)].mostly_clear()) // let those who operate get on
      std::this_thread::yield();
  }
}

void ScenarioRun::execute(std::size_t row, std::size_t body) noexcept {
  workers_[row].execute(body);
  if (scratch_.noted_at[row] == 0 && scratch_.notes[row].count != 0)
    scratch_.noted_at[row] = conductor_.steps() + 1;
}

void ScenarioRun::wait_for_executions(std::size_t executions) const {
  // Those that are under way do not count: they have begun before.
  const auto under_way =
      static_cast<std::uint64_t>(std::ranges::count_if(scenario_.threads, runs_until_done)) *
      (in_a_row() ? kInARow : 1);
  const std::uint64_t until = executions_.load(std::memory_order_relaxed) + under_way + executions;
  const auto deadline = std::chrono::steady_clock::now() + kLongestPause;
  while (executions_.load(std::memory_order_relaxed) < until && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::microseconds(10));
}

std::string ScenarioRun::name_of(std::size_t body) const {
  return fmt::format("{} ({})", letters_of(body), scenario_.bodies[body].body);
}

void ScenarioRun::note(std::size_t thread, std::string property, std::string summary) {
  Observed& o = observed_[thread];
  if (o.at)
    return;
  o.property = std::move(property);
  o.summary = std::move(summary);
  o.at = conductor_.steps();
}

std::optional<Verdict> ScenarioRun::close() {
  note_paths();
  if (const Status closed = closed_ ? Status{} : prober_->close(); !closed)
    return broken(property_name(Fault::NotRestored), describe(closed.error()));
  for (auto& kept : kept_texts_)
    kept.clear();
  // A thread that has been joined is listed for a moment more, until the kernel has released it.
  const auto too_many = [this] { return threads_of_this_process().size() > before_.threads; };
  for (int look = 0; look < kLooksAtThreads && !log_ && too_many(); ++look)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CodeSnapshot after = CodeSnapshot::of(text_);
  // Workers of the kernel's write the log.
  if (log_)
    after.threads = before_.threads;
  if (const std::string difference = before_.difference(after); !difference.empty())
    return broken(property_name(Fault::NotRestored), difference);
  if (prober_->facts().gives_pages_back && after.private_pages > before_.private_pages)
    return broken(property_name(Fault::NotRestored),
                  fmt::format("{} of the text's pages are private copies, {} were", after.private_pages,
                              before_.private_pages));
  return std::nullopt;
}

void ScenarioRun::note_paths() {
  const PathCounts now = prober_->paths();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths_.taken[i] += now.taken[i];
}

std::optional<Error> ScenarioRun::refused_throughout() const {
  std::optional<Error> first;
  for (const Operations& o : operations_) {
    if (o.inserted != 0)
      return std::nullopt;
    if (!first)
      first = o.refusal;
  }
  return first;
}

Json ScenarioRun::deeds() const {
  Json all = Json::object();
  const auto add = [&all](std::string_view key, std::uint64_t times) {
    if (times != 0)
      all[std::string(key)] = all.value(key, std::uint64_t{0}) + times;
  };
  for (const Deeds& d : deeds_) {
    for (const ActRow& row : kActs)
      add(row.word, d.acts[static_cast<std::size_t>(row.kind)]);
    add("left", d.left);
    add("faults", d.faults);
    add("changed", d.changed);
    add("skipped", d.skipped);
  }
  return all;
}

Json ScenarioRun::data() const {
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
  return Json{{"acts", deeds()},
              {"executions", all_.started},
              {"must", all_.must},
              {"may", all_.may()},
              {"must_not", all_.must_not},
              {"hits", hits_},
              {"inserted", all.inserted},
              {"removed", all.removed},
              {"first_refusal", all.refusal ? Json(describe(*all.refusal)) : Json(nullptr)},
              {"judged_by_ticket", tickets_},
              {"judged_per_thread", judged_per_thread_},
              {"paths", std::move(paths)}};
}

} // namespace proberace
