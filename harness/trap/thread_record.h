// The data that a thread owns on the hit path: its counters, its passage word, its step in progress. Its own
// thread writes them with plain instructions on its own cache lines; controllers read them.
//
// A record is mapped at a thread's first hit (there is no pool, so none runs dry, H22) and stays in the list
// until the prober closes. A later thread takes over the record of one that ended, after its counts were
// folded into the total of the departed (H23). Records are private memory: a forked child counts in its own
// copy (H72).
#pragma once

#include "harness/probe/paths.h"
#include "harness/trap/site_table.h"

#include <atomic>
#include <map>
#include <sys/types.h>

namespace proberace {

// A single step from Stepper::begin to Done.
struct StepInProgress {
  const SiteRecord* site = nullptr;
  std::uint64_t held_mask = 0;        // the signal mask start_single_step replaced
  bool target_stepped_itself = false; // the trap flag as start_single_step found it
};

struct alignas(64) ThreadRecord {
  // The passage word: depth is non-zero while the thread is in the handler; passages counts how often it
  // left. The controller's heavy_fence orders the plain stores against its reads (quiescence.h).
  std::atomic<std::uint32_t> depth{0};
  std::atomic<std::uint32_t> passages{0};

  std::atomic<pid_t> owner{0};

  // Steps in progress, innermost last. There are several if a displaced instruction faults and the program's
  // handler of the fault hits probes itself (H25). A step whose handler left by siglongjmp stays below all
  // later ones, and is dropped when there is no room (H26).
  static constexpr std::uint32_t kMaxSteps = 16;
  std::atomic<std::uint32_t> steps_open{0}; // written by its own thread only
  StepInProgress steps[kMaxSteps];

  // signal-safe, on its own thread.
  StepInProgress& open_step() noexcept;
  StepInProgress* innermost_step() noexcept {
    // Relaxed: only this thread writes the word.
    const std::uint32_t open = steps_open.load(std::memory_order_relaxed);
    return open != 0 ? &steps[open - 1] : nullptr;
  }
  void close_step() noexcept {
    // Relaxed: only this thread writes the word. The release pairs with departure.
    steps_open.store(steps_open.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }

  ThreadRecord* next = nullptr;
  std::size_t mapped_bytes = 0;

  alignas(64) std::array<std::uint64_t, kPathCount> paths{};
  alignas(64) std::uint64_t hits[SiteTable::kCapacity]; // by site index; pages are touched on first use
};

// signal-safe. Adds one by a single instruction, so that a hit nested anywhere in the handler, or a signal
// handler that counts, never finds a count that is loaded but not yet stored (H73). It is not locked: only
// the owner writes, on its own cache line (H35).
[[gnu::always_inline]] inline void count_one(std::uint64_t& counter) noexcept {
  asm volatile("addq $1, %0" : "+m"(counter) : : "cc");
}

// signal-safe. Reads a counter to which another thread may be adding.
inline std::uint64_t read_counter(const std::uint64_t& counter) noexcept {
  // Relaxed: it is a count only. Quiescence orders it where that matters.
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

// Two words in every thread's static TLS, by which a thread finds its record; generated code reads them too
// (`jump`). `session` says whose record it is, and is compared before `record` is used.
struct ThreadWords {
  std::uint64_t session = 0;
  ThreadRecord* record = nullptr;
};

// Which session's words: one that takes traps and one of trampolines may be open at once (`auto`).
enum class WordsOf : std::uint8_t { Traps, Trampolines };
inline constexpr std::size_t kWordsPerThread = 2;

class ThreadRecords {
public:
  // Precondition: no other records of the same kind are in use.
  explicit ThreadRecords(WordsOf place = WordsOf::Traps);
  ThreadRecords(const ThreadRecords&) = delete;
  ThreadRecords& operator=(const ThreadRecords&) = delete;
  // Precondition: no thread can enter the hit path any more.
  ~ThreadRecords();

  // signal-safe. The calling thread's record; the first call maps one. Aborts with a message if there is no
  // memory: a hit that cannot be counted must not pass unseen.
  ThreadRecord& mine() noexcept;

  // The value of ThreadWords::session on a thread that has its record; never 0, and below 2^32 - 1.
  std::uint64_t session() const noexcept { return session_; }
  // The distance of a thread's words from its fs base, in bytes; the same on every thread.
  std::int32_t words_offset() const noexcept;

  // Thread-safe. `site_index` is SiteRecord::index.
  std::uint64_t total(std::uint32_t site_index) const noexcept;
  std::uint64_t of_thread(std::uint32_t site_index, pid_t thread) const noexcept;
  // By thread id; counts of threads whose record was taken over stand under 0.
  std::map<pid_t, std::uint64_t> by_thread(std::uint32_t site_index) const;
  std::uint64_t total(Path path) const noexcept;

  template <typename F> void for_each(F&& f) const {
    // Pairs with map_new.
    for (ThreadRecord* r = first_.load(std::memory_order_acquire); r != nullptr; r = r->next)
      f(*r);
  }
  // Relaxed: it is a statistic.
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::uint64_t mapped_bytes() const noexcept;

  // By the controller: sites with an index below `count` may be hit from now on. Pairs with take_over.
  void sites_in_use(std::uint32_t count) noexcept { sites_.store(count, std::memory_order_release); }

private:
  // Sums so that a count that moves to the departed is neither seen twice nor missed.
  template <typename F> auto settled(F&& sum) const;

  ThreadRecord* take_over(pid_t thread) noexcept;
  ThreadRecord* map_new(pid_t thread) noexcept;

  const std::uint64_t session_;
  const std::size_t place_; // of this session's words among the thread's
  std::atomic<ThreadRecord*> first_{nullptr};
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint32_t> sites_{0};
  std::atomic<std::uint64_t> moves_begun_{0};
  std::atomic<std::uint64_t> moves_ended_{0};
  ThreadRecord* departed_; // counts of threads whose record was taken over; added to with locked instructions
};

} // namespace proberace
