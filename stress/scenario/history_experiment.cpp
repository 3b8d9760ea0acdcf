// Runs a History in a cell and judges it.
#include "harness/base/threads.h"
#include "harness/cell/experiment.h"
#include "harness/code/target.h"
#include "harness/log/hit_log.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/code/code_snapshot.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/history.h"
#include "stress/scenario/logged_hits.h"
#include "stress/scenario/worker.h"

#include <chrono>
#include <fmt/format.h>
#include <random>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::size_t kExecutionsAtLeast = 200; // of each worker

// In the arena's scratch: survives the child.
struct Scratch {
  SiteState states[kMaxSites];
  Tally tallies[kMaxWorkers + 1][kMaxSites]; // the last row: churned threads, one at a time
  FaultNote notes[kMaxWorkers + 1];
  pid_t workers[kMaxWorkers];
};
static_assert(sizeof(Scratch) <= Arena::kScratchBytes);

class Run {
public:
  Run(const History& history, Arena& arena, PinPlan plan, Text text, std::unique_ptr<Prober> prober)
      : history_(history), arena_(arena), scratch_(*reinterpret_cast<Scratch*>(arena.scratch)),
        plan_(std::move(plan)), text_(std::move(text)), prober_(std::move(prober)) {}

  // Logs every execution, hit and operation to a new file. Before run.
  Status log_to(const std::string& path);
  Verdict run();

private:
  Status open();
  void work(std::size_t worker);
  void control(std::size_t controller);
  void churn();
  struct Controlling {
    ThreadPoint& point;
    RecordRing* log; // null if nothing is logged
  };
  void apply(const Event& event, const Controlling& self);
  void pause(std::size_t executions) const;
  void operate(const Event& event, const Controlling& self);
  RecordRing* join_log() { return log_ ? log_->join() : nullptr; }
  std::optional<Verdict> close_log(Json& data);
  void check_still_clear(std::size_t site);
  void note_refusal(const Error& error);
  void remove_everything();
  Verdict judge();
  Verdict broken(Fault fault, std::string summary, Json evidence) const;
  std::optional<Verdict> judge_counts() const;
  Json data() const;
  std::size_t workers() const { return plan_.cpus.size(); }

  struct ClearSince {
    std::uint64_t word = 0;
    std::uint64_t hits = 0;
    bool known = false;
  };

  const History& history_;
  Arena& arena_;
  Scratch& scratch_;
  const PinPlan plan_;
  const Text text_;
  std::unique_ptr<HitLog> log_; // declared before the prober, so that it is destroyed after it
  std::optional<LoggedSites> logged_;
  const std::unique_ptr<Prober> prober_;
  Target target_;
  std::vector<Site> sites_;
  bool tickets_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> executions_{0};
  std::atomic<std::size_t> running_{0};
  std::atomic<std::uint64_t> inserted_{0};
  std::atomic<std::uint64_t> removed_{0};
  std::mutex mutex_; // guards what follows
  std::optional<Error> first_refusal_;
  std::string moved_while_clear_;
  std::vector<ClearSince> clear_since_;
};

Status Run::open() {
  text_.declare(target_);
  std::vector<Address> addresses;
  for (const PlacedBody& body : text_.bodies())
    addresses.push_back(body.site);
  auto sites = open_with_sites(*prober_, target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  sites_ = std::move(*sites);
  clear_since_.resize(sites_.size());
  if (log_)
    logged_.emplace(sites_);
  const Status handled =
      log_ ? prober_->set_handler(&stamp_and_log, &*logged_) : prober_->set_handler(&stamp_ticket, nullptr);
  tickets_ = handled.has_value();
  return log_ ? handled : Status{};
}

Status Run::log_to(const std::string& path) {
  Json bodies = Json::array();
  for (const PlacedName& b : history_.bodies)
    bodies.push_back(b.body);
  // Workers, those that come and go one after the other, controllers, and who removes what is left.
  auto log =
      HitLog::create(path, {.threads = workers() + 1 + history_.controllers.size() + 1,
                            .about = Json{{"strategy", history_.strategy}, {"sites", std::move(bodies)}}});
  if (!log)
    return std::unexpected(log.error());
  log_ = std::move(*log);
  return {};
}

// A log that could not be written is no log: said as the verdict, unless something worse was found.
std::optional<Verdict> Run::close_log(Json& data) {
  const auto totals = log_->close();
  if (!totals) {
    data["log_error"] = describe(totals.error());
    return verdict_of(totals.error());
  }
  data["log"] = Json{{"records", totals->records},
                     {"lost", totals->lost},
                     {"bytes", totals->bytes},
                     {"way", name(totals->way)}};
  return std::nullopt;
}

// A random delay, so that threads interleave differently each time.
void idle(std::size_t iterations) {
  for (std::size_t i = 0; i < iterations; ++i)
    asm volatile("");
}

void Run::work(std::size_t worker) {
  (void)pin_this_thread(plan_.cpus[worker]);
  scratch_.workers[worker] = current_thread();
  const Worker::Shared shared{text_, scratch_.states, tickets_, executions_};
  Worker self(shared, scratch_.tallies[worker], scratch_.notes[worker], arena_.point_for_this_thread(),
              join_log());
  running_.fetch_add(1, std::memory_order_release); // pairs with run
  std::minstd_rand random(static_cast<unsigned>(worker + 1));
  for (std::size_t n = 0; n < kExecutionsAtLeast || !stop_.load(std::memory_order_relaxed); ++n) {
    self.execute((n + worker) % sites_.size());
    if (history_.jitter != 0)
      idle(random() % history_.jitter);
  }
}

void Run::churn() {
  RecordRing* const log = history_.churn != 0 ? join_log() : nullptr; // one at a time: one ring
  const Worker::Shared shared{text_, scratch_.states, tickets_, executions_};
  for (std::size_t i = 0; i < history_.churn; ++i)
    std::thread([&] {
      Worker self(shared, scratch_.tallies[kMaxWorkers], scratch_.notes[kMaxWorkers],
                  arena_.points[Arena::kPoints - 1], log);
      for (std::size_t site = 0; site < sites_.size(); ++site)
        self.execute(site);
    }).join();
}

void Run::pause(std::size_t executions) const {
  const std::uint64_t until = executions_.load(std::memory_order_relaxed) + executions;
  const auto deadline = std::chrono::steady_clock::now() + kLongestPause;
  while (executions_.load(std::memory_order_relaxed) < until && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
}

// The count must not move while the site is clear: since this site was last seen clear, by whichever
// controller.
void Run::check_still_clear(std::size_t site) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t word = scratch_.states[site].read();
  if (!SiteState::quiet(word) || SiteState::armed(word))
    return;
  const std::uint64_t hits = prober_->hits(sites_[site]);
  if (scratch_.states[site].read() != word)
    return;
  ClearSince& since = clear_since_[site];
  if (since.known && since.word == word && since.hits != hits)
    moved_while_clear_ =
        fmt::format("site {} was clear, and its count went from {} to {}", site, since.hits, hits);
  since = {word, hits, true};
}

void Run::note_refusal(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!first_refusal_)
    first_refusal_ = error;
}

void Run::operate(const Event& event, const Controlling& self) {
  std::vector<Site> batch;
  for (const std::size_t i : event.sites) {
    check_still_clear(i);
    scratch_.states[i].begin();
    batch.push_back(sites_[i]);
  }
  const bool inserting = event.action == Action::Insert;
  self.point.pass(inserting ? "inserting" : "removing", batch.empty() ? Address{} : batch[0].address);
  const SiteResults results = inserting ? prober_->insert(batch) : prober_->remove(batch);
  for (std::size_t k = 0; k < results.size(); ++k) {
    if (!results[k] && results[k].error().kind == ErrorKind::NotQuiescent) {
      // The probe is gone, but a thread that does not get on may still count its hit: the operation does not
      // end, and what is executed from now on may count.
      note_refusal(results[k].error());
      continue;
    }
    const std::uint64_t now = scratch_.states[event.sites[k]].end(results[k].has_value());
    if (self.log != nullptr)
      self.log->append(RecordKind::Operated, event.sites[k], 0, now);
    if (results[k]) {
      (inserting ? inserted_ : removed_).fetch_add(1, std::memory_order_relaxed); // a statistic
    } else if (results[k].error().kind != ErrorKind::AlreadyArmed &&
               results[k].error().kind != ErrorKind::NotArmed) {
      note_refusal(results[k].error());
    }
  }
  self.point.pass("between operations");
  for (const std::size_t i : event.sites)
    check_still_clear(i);
}

void Run::apply(const Event& event, const Controlling& self) {
  if (event.action == Action::Pause)
    pause(event.executions);
  else
    operate(event, self);
}

void Run::control(std::size_t controller) {
  const Controlling self{arena_.point_for_this_thread(), join_log()};
  for (std::size_t round = 0; round < history_.rounds; ++round)
    for (const Event& event : history_.controllers[controller])
      apply(event, self);
}

void Run::remove_everything() {
  Event all{Action::Remove, {}, 0};
  for (std::size_t i = 0; i < sites_.size(); ++i)
    if (SiteState::armed(scratch_.states[i].read()))
      all.sites.push_back(i);
  if (!all.sites.empty())
    operate(all, {arena_.points[Arena::kPoints - 2], join_log()});
}

Verdict Run::run() {
  const CodeSnapshot before = CodeSnapshot::of(text_);
  if (const Status opened = open(); !opened)
    return verdict_of(opened.error());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workers(); ++i)
    threads.emplace_back([this, i] { work(i); });
  while (running_.load(std::memory_order_acquire) < workers()) // pairs with work
    std::this_thread::yield();
  std::vector<std::thread> controllers;
  for (std::size_t i = 0; i < history_.controllers.size(); ++i)
    controllers.emplace_back([this, i] { control(i); });
  churn();
  for (std::thread& t : controllers)
    t.join();
  remove_everything();
  pause(10 * workers()); // executions after removal: they must not count
  stop_.store(true, std::memory_order_relaxed);
  for (std::thread& t : threads)
    t.join();
  for (std::size_t i = 0; i < sites_.size(); ++i)
    check_still_clear(i);

  Verdict verdict = judge();
  verdict.data = data();
  if (const Status closed = prober_->close(); !closed && verdict.is(Ending::Held))
    verdict = broken(Fault::NotRestored, describe(closed.error()), {});
  const std::string difference = before.difference(CodeSnapshot::of(text_));
  if (!difference.empty() && verdict.is(Ending::Held))
    verdict = broken(Fault::NotRestored, difference, Json{{"difference", difference}});
  if (log_)
    if (auto lost = close_log(verdict.data); lost && verdict.is(Ending::Held))
      return *lost;
  return verdict;
}

Verdict Run::broken(Fault fault, std::string summary, Json evidence) const {
  Verdict v;
  v.ending = Ending::Broken;
  v.property = name(fault);
  v.summary = std::move(summary);
  v.evidence = std::move(evidence);
  v.data = data();
  return v;
}

// Per thread and per site where the prober counts threads, per site where it does not.
std::optional<Verdict> Run::judge_counts() const {
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    Tally all = scratch_.tallies[kMaxWorkers][s];
    for (std::size_t w = 0; w < workers(); ++w) {
      const Tally& tally = scratch_.tallies[w][s];
      all += tally;
      const auto hits = prober_->hits(sites_[s], scratch_.workers[w]);
      if (hits && !tally.admits(*hits))
        return broken(
            Fault::WrongCount,
            fmt::format("site {} ({}), thread {}: {} hits, where {} must and {} may have counted", s,
                        history_.bodies[s].body, w, *hits, tally.must, tally.may()),
            Json{{"site", s}, {"thread", w}, {"hits", *hits}, {"must", tally.must}, {"may", tally.may()}});
    }
    const std::uint64_t hits = prober_->hits(sites_[s]);
    if (!all.admits(hits))
      return broken(Fault::WrongCount,
                    fmt::format("site {} ({}), all threads: {} hits, where {} must and {} may have counted",
                                s, history_.bodies[s].body, hits, all.must, all.may()),
                    Json{{"site", s}, {"hits", hits}, {"must", all.must}, {"may", all.may()}});
  }
  return std::nullopt;
}

Verdict Run::judge() {
  for (std::size_t w = 0; w <= kMaxWorkers; ++w) {
    const FaultNote& note = scratch_.notes[w];
    const Fault fault = note.fault.load(std::memory_order_acquire); // pairs with Worker::report
    if (fault == Fault::None)
      continue;
    return broken(fault,
                  fmt::format("{} on thread {}, site {} ({}), execution {}: hit {} times{}", name(fault), w,
                              note.site, history_.bodies[note.site].body, note.ticket, note.hits,
                              note.count > 1 ? fmt::format(", and {} more faults", note.count - 1) : ""),
                  Json{{"thread", w},
                       {"site", note.site},
                       {"body", history_.bodies[note.site].body},
                       {"execution", note.ticket},
                       {"hits", note.hits},
                       {"result", note.result},
                       {"expected_result", expected_result(note.ticket)},
                       {"faults", note.count}});
  }
  if (!moved_while_clear_.empty())
    return broken(Fault::MovedWhileClear, moved_while_clear_, {});
  if (auto wrong = judge_counts())
    return *wrong;
  if (inserted_.load(std::memory_order_relaxed) == 0 && first_refusal_)
    return verdict_of(*first_refusal_);
  Verdict held;
  held.summary = "held";
  return held;
}

Json Run::data() const {
  Tally all;
  std::uint64_t hits = 0;
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    hits += prober_->hits(sites_[s]);
    for (const auto& row : scratch_.tallies)
      all += row[s];
  }
  Json paths = Json::object();
  const PathCounts taken = prober_->paths();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths[std::string(name(static_cast<Path>(i)))] = taken.taken[i];
  return Json{{"executions", all.started},
              {"must", all.must},
              {"may", all.may()},
              {"must_not", all.must_not},
              {"hits", hits},
              {"judged_by_ticket", tickets_},
              {"judged_per_thread", prober_->hits(sites_[0], scratch_.workers[0]).has_value()},
              {"inserted", inserted_.load(std::memory_order_relaxed)},
              {"removed", removed_.load(std::memory_order_relaxed)},
              {"first_refusal", first_refusal_ ? Json(describe(*first_refusal_)) : Json(nullptr)},
              {"paths", std::move(paths)}};
}

Verdict run_history(const Json& parameters, Arena& arena) {
  const History history = history_from(parameters);
  if (history.bodies.empty() || history.bodies.size() > kMaxSites)
    return verdict_of(Error{ErrorKind::BadInput, {}, fmt::format("a history has 1 to {} bodies", kMaxSites)});
  std::vector<Placement> placements;
  for (const PlacedName& b : history.bodies) {
    const Body* body = body_named(b.body);
    if (body == nullptr)
      return verdict_of(Error{ErrorKind::BadInput, {}, fmt::format("no body is called '{}'", b.body)});
    placements.push_back({body, b.page});
  }
  auto plan = make_pin_plan(history.plan, history.threads);
  if (!plan)
    return verdict_of(plan.error());
  if (plan->cpus.empty() || plan->cpus.size() > kMaxWorkers)
    return verdict_of(
        Error{ErrorKind::BadInput, {}, fmt::format("a history has 1 to {} workers", kMaxWorkers)});
  auto prober = make_prober(history.strategy);
  if (!prober)
    return verdict_of(prober.error());
  auto text = Text::make(placements, text_memory_for(**prober));
  if (!text)
    return verdict_of(text.error());
  Run run(history, arena, std::move(*plan), std::move(*text), std::move(*prober));
  if (parameters.contains("log"))
    if (const Status logging = run.log_to(parameters.at("log")); !logging)
      return verdict_of(logging.error());
  Verdict verdict = run.run();
  if (parameters.contains("log") && (verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)))
    ::unlink(parameters.at("log").get<std::string>().c_str()); // nothing happened: there is nothing to keep
  return verdict;
}

const bool history_experiment_registered = register_experiment("history", &run_history);

} // namespace

} // namespace proberace
