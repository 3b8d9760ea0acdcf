// A thread of a scenario that executes bodies and judges each execution.
#pragma once

#include "harness/cell/arena.h"
#include "harness/judge/tally.h"
#include "stress/code/mailbox.h"
#include "stress/code/text.h"

#include <atomic>

namespace proberace {

// The first fault a worker saw; lies in the arena.
struct FaultNote {
  std::atomic<Fault> fault{Fault::None};
  std::uint64_t count = 0;
  std::size_t site = 0;
  std::uint64_t ticket = 0;
  std::uint64_t hits = 0;
  std::uint64_t result = 0;
};

// What the worker of a row holds of the word that is swapped, at first; different for each, in every byte.
constexpr std::uint64_t word_of(std::size_t row) noexcept {
  return (row + 1) * 0x9E37'79B9'7F4A'7C15;
}

class Worker {
public:
  struct Shared {
    const Text& text;
    SiteState* states;                      // one per body
    bool tickets;                           // the prober calls stamp_ticket on each hit
    std::atomic<std::uint64_t>& executions; // of all workers
    SharedWords& words;
  };

  // `log` is this thread's, if executions are logged.
  Worker(const Shared& shared, Tally* tallies, FaultNote& note, ThreadPoint& point, RecordRing* log = nullptr)
      : shared_(shared), tallies_(tallies), note_(note), point_(point) {
    mailbox_.log = log;
    mailbox_.wide = __builtin_cpu_supports("avx2") != 0 ? 1 : 0;
    mailbox_.shared = &shared.words;
  }

  // Executes body `index` once.
  void execute(std::size_t index) noexcept;
  // True if it has executed clear sites much more often than armed ones, which take far longer.
  bool mostly_clear() const noexcept { return clear_ahead_ == kMostAhead; }
  // Executes it `times` times in a tight loop. Precondition: no tickets, no log.
  void execute_in_a_row(std::size_t index, std::size_t times) noexcept;
  // Executes a body that lies elsewhere once, and judges what it leaves.
  Fault execute_at(Address entry) noexcept;
  // The address that the body `load` reads through from now on.
  void load_from(const void* address) noexcept { mailbox_.load_from = address; }

  // Its part of the shared words: its additions to the sum, and its share of the swapped word.
  std::uint64_t added() const noexcept { return mailbox_.added; }
  std::uint64_t held() const noexcept { return mailbox_.held; }
  void hold(std::uint64_t word) noexcept { mailbox_.held = word; }

private:
  // Of the next execution; forgets what was seen of the last.
  std::uint64_t take_ticket() noexcept;
  void weigh(std::uint64_t state, int executions) noexcept;
  void report(Fault fault, std::size_t site, std::uint64_t result) noexcept;

  static constexpr int kMostAhead = 32;

  const Shared& shared_;
  int clear_ahead_ = 0; // of executions of armed sites
  Tally* tallies_;      // one per body
  FaultNote& note_;
  ThreadPoint& point_;
  Mailbox mailbox_;
};

} // namespace proberace
