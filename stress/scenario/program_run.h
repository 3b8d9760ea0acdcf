// One process running a program again and again: opens the strategy, keeps the threads, judges each run.
// Its caller says what becomes of each step (Conductor).
#pragma once

#include "harness/cell/arena.h"
#include "harness/code/target.h"
#include "harness/probe/prober.h"
#include "stress/code/code_snapshot.h"
#include "stress/code/text.h"
#include "stress/scenario/program.h"
#include "stress/scenario/worker.h"

#include <array>
#include <csignal>
#include <optional>

namespace proberace {

// In the arena's scratch: survives the process.
struct ProgramScratch {
  // Of each thread: its own, its signal handlers', that of the threads it starts, its hit handler's.
  static constexpr std::size_t kRows = 4 * kMaxProgramThreads;
  static constexpr std::size_t handler_row(std::size_t thread) { return kMaxProgramThreads + thread; }
  static constexpr std::size_t spawned_row(std::size_t thread) { return 2 * kMaxProgramThreads + thread; }
  static constexpr std::size_t nested_row(std::size_t thread) { return 3 * kMaxProgramThreads + thread; }
  // Whether hits of the row's executions may lie in another's handler, and so have none of their own.
  static constexpr bool nests(std::size_t row, bool signals_may_nest) {
    return row >= nested_row(0) || (signals_may_nest && row >= handler_row(0) && row < spawned_row(0));
  }
  SiteState states[kMaxSites];
  Tally tallies[kRows][kMaxSites];
  FaultNote notes[kRows];
  std::uint32_t noted_at[kRows]; // the step of a controlled run at which the fault was seen, plus one
  pid_t threads[kMaxProgramThreads];
  std::uint32_t signals_sent[kMaxProgramThreads], signals_handled[kMaxProgramThreads];
};

// What the threads of a program tell whoever runs them. As it is, nothing comes of it. signal-safe.
class Conductor {
public:
  virtual ~Conductor() = default;
  // The thread is about to take a step of the program's own.
  virtual void step(const char* /*name*/, Address /*site*/) noexcept {}
  virtual void signal_sent(pid_t /*thread*/) noexcept {}
  // On a thread that `thread` of the program has started: it begins, and ends.
  virtual void come(std::size_t /*number*/) noexcept {}
  virtual void go(std::size_t /*starter*/) noexcept {}
  // By the thread that has started it: until it has come, and until it has gone.
  virtual void await(std::size_t /*number*/) noexcept {}
  virtual void wait_until_gone(std::size_t /*number*/) noexcept {}
  // In a child that was forked: nobody controls it.
  virtual void forked() noexcept {}
  // Taken by all threads so far.
  virtual std::uint32_t steps() const noexcept { return 0; }
};

class ProgramRun {
public:
  // All references outlive it.
  ProgramRun(const Program& program, Arena& arena, ProgramScratch& scratch, Conductor& conductor, Text text,
             std::unique_ptr<Prober> prober);

  Status open();
  // Before the threads run: arms what the program has armed, forgets what was counted.
  Status begin();
  // On the thread itself, which is one and the same for each run, before the first: others may signal it from
  // now on.
  void enlist(std::size_t thread) noexcept;
  // On the thread itself.
  void perform(std::size_t thread) noexcept;
  // After all have: removes what is armed and judges. Nothing if the run held.
  std::optional<Verdict> judge();
  // After the last run.
  std::optional<Verdict> close();

  std::size_t threads() const noexcept { return program_.threads.size(); }
  // Over all runs: executions, must, may, must_not, hits, paths, inserted, removed, and what was done of the
  // acts: by their letters, and `left` (by a jump), `faults`.
  Json data() const;

private:
  struct Operations {
    std::uint64_t inserted = 0, removed = 0;
    std::optional<Error> refusal{};
  };
  // What a thread did, over all runs.
  struct Deeds {
    std::array<std::uint64_t, kActKinds> acts{};
    // Written by signal handlers.
    volatile std::uint64_t left = 0, faults = 0, changed = 0, skipped = 0;
  };
  // What a thread saw when it looked at a site that was clear, and what was wrong then. Its own, so that
  // looks need no lock, which a controlled run could not see.
  struct ClearSite {
    std::uint64_t word = 0, hits = 0;
    bool known = false;
  };
  struct Observed {
    std::vector<ClearSite> clear{};
    std::string property{}, summary{}; // the first thing that was wrong
    std::uint32_t at = 0;              // and the step, plus one
  };

  void operate(std::size_t thread, ActKind kind, std::span<const std::size_t> sites);
  void execute(std::size_t row, std::size_t site) noexcept;
  Json deeds() const;
  // program_children.cpp
  void fork_and_execute(std::size_t thread, std::size_t site, bool exec) noexcept;
  void vfork_and_execute(std::size_t thread, std::size_t site) noexcept;
  void judge_child(std::size_t thread, std::size_t site, pid_t child, const char* what);
  void protect(std::size_t thread, std::size_t site);
  // program_acts.cpp
  enum class Sent : int { Execute, Leave, End };
  static void take_signals();
  bool some_act_leaves() const;
  bool promised(ActKind kind) const;
  void apply(std::size_t thread, const Act& act) noexcept;
  void perform_act(std::size_t thread, const Act& act) noexcept;
  void execute_own(std::size_t thread, std::size_t site) noexcept;
  void execute_faulting(std::size_t thread, std::size_t site) noexcept;
  void send(pid_t thread, Sent what, std::size_t site) noexcept;
  void signal(std::size_t to, Sent what, std::size_t site) noexcept;
  void spawn_and_execute(std::size_t thread, std::size_t site, bool cancel);
  void take_own_traps(std::size_t thread);
  void change_what_was_hit(Hit& hit) noexcept;
  void note(std::size_t thread, std::string property, std::string summary);
  void look_at_interrupted_pc(std::size_t thread, Address pc);
  void look_whether_still_clear(std::size_t thread, std::size_t site);
  static void on_signal(int, siginfo_t* info, void* context);
  static void on_fault(int signo, siginfo_t* info, void* context);
  static void on_own_trap(int signo, siginfo_t* info, void* context);
  static void on_hit(Hit& hit, void* run);
  void take_handler();
  void note_paths();
  std::optional<Verdict> judge_counts() const;
  std::optional<Verdict> judge_faults() const;
  std::optional<Verdict> judge_observed() const;
  std::optional<Verdict> judge_bytes();
  Tally of_thread(std::size_t thread, std::size_t site) const;

  const Program& program_;
  Arena& arena_;
  ProgramScratch& scratch_;
  Conductor& conductor_;
  const Text text_;
  Target target_;
  const std::unique_ptr<Prober> prober_; // before the target and the text go
  const CodeSnapshot before_;
  std::vector<Site> sites_;
  bool tickets_ = false;
  std::atomic<std::uint64_t> executions_{0};
  std::vector<Worker> workers_;                  // by row
  std::vector<Observed> observed_;               // by thread
  std::vector<Operations> operations_;           // by thread; the last: before and after a run
  std::vector<Deeds> deeds_;                     // by thread
  const bool leaves_;                            // some act leaves what it was in by siglongjmp
  std::vector<std::vector<std::uint64_t>> base_; // hits before the run, by thread and site; the last: of all
  std::optional<Worker::Shared> shared_, shared_nested_;
  Tally all_;
  std::uint64_t hits_ = 0;
  PathCounts paths_{};
  std::atomic<bool> handled_after_removal_{false};
};

} // namespace proberace
