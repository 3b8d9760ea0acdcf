// One process running a scenario: opens the strategy, does the threads' acts, judges what came of them. Free
// or under control is the Conductor's matter; what is done and what it is held to is the same.
#pragma once

#include "harness/cell/arena.h"
#include "harness/cell/verdict.h"
#include "harness/code/target.h"
#include "harness/log/hit_log.h"
#include "harness/probe/prober.h"
#include "stress/code/code_snapshot.h"
#include "stress/code/text.h"
#include "stress/scenario/conductor.h"
#include "stress/scenario/scenario_scratch.h"
#include "stress/scenario/site_index.h"

#include <array>
#include <chrono>
#include <optional>

namespace proberace {

// A pause ends after this even if the executions it waits for do not come.
inline constexpr std::chrono::milliseconds kLongestPause{200};

class ScenarioRun {
public:
  // All references outlive it. Precondition: why_not(scenario) is empty.
  ScenarioRun(const Scenario& scenario, Arena& arena, ScenarioScratch& scratch, Conductor& conductor,
              Text text, std::unique_ptr<Prober> prober);
  ~ScenarioRun();

  // Before open: logs every execution, hit and operation to a new file. BadInput if an act cannot be logged.
  Status log_to(const std::string& path);
  Status open();
  // Before the threads run: arms what the scenario has armed, forgets what was counted.
  Status begin();
  // On the thread itself, which is one and the same for each run, before the first: others may signal it from
  // now on.
  void enlist(std::size_t thread) noexcept;
  // On the thread itself: all its acts.
  void perform(std::size_t thread) noexcept;
  // Free runs: removes what is armed, waits for some executions more, and tells the threads that run until
  // the others are done that they are.
  void end_free_run();
  // After all threads have ended: removes what is armed and judges. Nothing if the run held.
  std::optional<Verdict> judge();
  // After the last run.
  std::optional<Verdict> close();
  // After close: finishes the log; a log that could not be written is an error.
  Status close_log(Json& data);

  std::size_t threads() const noexcept { return scenario_.threads.size(); }
  const Scenario& scenario() const noexcept { return scenario_; }
  // The first refusal, if nothing was ever inserted: the run tested nothing.
  std::optional<Error> refused_throughout() const;
  // Over all runs: executions, must, may, must_not, hits, paths, inserted, removed, and what was done of the
  // acts: by their words, and `left` (by siglongjmp), `faults`, `changed`, `skipped`.
  Json data() const;

  // The parts that acts are made of, called on the thread of that number. acts.cpp, acts_that_fork.cpp.
  // True if the strategy promises what the act needs; nothing is done otherwise.
  bool does(const ActRow& row) const noexcept;
  // Executes a body once, counted in that row. signal-safe.
  void execute(std::size_t row, std::size_t body) noexcept;
  // The same by the thread itself, in case a signal's handler leaves the execution.
  void execute_own(std::size_t thread, std::size_t body) noexcept;
  void run_bodies(std::size_t thread, const Act& act) noexcept;
  // Does nothing once the prober is closed.
  void operate(std::size_t thread, bool insert, std::span<const std::size_t> bodies);
  void close_while_running(std::size_t thread);
  void look_whether_still_clear(std::size_t thread, std::size_t body);
  void wait_for_executions(std::size_t executions) const;
  // Notes something that was seen to be wrong; the first of each thread is kept.
  void note(std::size_t thread, std::string property, std::string summary);
  std::string name_of(std::size_t body) const; // "A (mov)"

private:
#define PROBERACE_ACT(kind, ...) friend void perform::kind(ScenarioRun&, std::size_t, const Act&);
#include "stress/scenario/acts.def"
#undef PROBERACE_ACT
  friend struct Signals;  // signals.h
  friend struct Children; // acts_that_fork.cpp
  friend class OwnProbes; // own_probes.h

  struct Operations {
    std::uint64_t inserted = 0, removed = 0;
    std::optional<Error> refusal{};
  };
  // The deeds of a thread, over all runs.
  struct Deeds {
    std::array<std::uint64_t, kActKinds> acts{};
    // Written by signal handlers.
    volatile std::uint64_t left = 0, faults = 0, changed = 0, skipped = 0;
  };
  // A thread's view of a site that was clear, and what was wrong then. Each thread has its own, so that looks
  // need no lock, which a controlled run could not see.
  struct ClearSite {
    std::uint64_t word = 0, hits = 0;
    bool known = false;
  };
  struct Observed {
    std::vector<ClearSite> clear{};
    std::string property{}, summary{}; // the first thing that was wrong
    std::optional<std::uint32_t> at{}; // the step at which it was seen
  };

  struct LivingChild {
    pid_t process;
    const Act* act; // that forked it
  };

  // True if nobody looks at single executions: more of them follow one another then, so that one that is interrupted is
  // often one inside a probe.
  bool in_a_row() const noexcept {
    return scenario_.unhandled && !leaves_ && !log_;
  }
  // A call of the body that nobody watches.
  void may_count(std::size_t row, std::size_t body) noexcept {
    scratch_.tallies[row][body].started += text_.bodies()[body].body->passes;
  }
  void take_handler();
  // Tells the children that live on to end, and notes what became of them.
  void end_children();
  std::optional<Verdict> judge_while_children_live();
  void note_paths();
  bool breaks(ErrorKind refusal, bool insert, const Body& body) const noexcept;
  Json deeds() const;
  std::optional<Verdict> judge_counts();
  std::optional<Verdict> judge_faults() const;
  std::optional<Verdict> judge_observed();
  std::optional<Verdict> judge_removal();
  std::optional<Verdict> judge_bytes();
  std::optional<Verdict> judge_shared_words() const;
  Tally of_thread(std::size_t thread, std::size_t body) const;

  const Scenario& scenario_;
  const Rows rows_;
  Arena& arena_;
  ScenarioScratch& scratch_;
  Conductor& conductor_;
  const bool controlled_;
  const Text text_;
  std::unique_ptr<HitLog> log_; // declared before the prober, so that it is destroyed after it
  Target target_;
  const std::unique_ptr<Prober> prober_; // before the target and the text go
  CodeSnapshot before_{};                // open()
  std::vector<Site> sites_;
  SiteIndex site_index_;
  bool tickets_ = false, judged_per_thread_ = false;
  bool closed_ = false; // by an act; nobody else operates then
  std::array<bool, kActKinds> does_{};
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> executions_{0};
  std::vector<Worker> workers_;                    // by row
  std::vector<RecordRing*> logs_;                  // by row; null where nothing is logged
  std::vector<Observed> observed_;                 // by thread; the last: before and after a run
  std::vector<Operations> operations_;             // likewise
  std::vector<std::vector<Text>> kept_texts_;      // by thread: a probe was left armed in them
  std::vector<Deeds> deeds_;                       // by thread
  std::vector<std::vector<LivingChild>> children_; // by thread
  const bool leaves_;                              // some act leaves what it was in by siglongjmp
  SharedWords words_;
  std::vector<std::vector<std::uint64_t>> base_; // hits before the run, by thread and site; the last: of all
  std::optional<Worker::Shared> shared_, shared_nested_;
  Tally all_;
  std::uint64_t hits_ = 0;
  PathCounts paths_{};
  std::atomic<bool> handled_after_removal_{false};
};

} // namespace proberace
