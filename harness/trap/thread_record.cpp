#include "harness/trap/thread_record.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "harness/schedule/point.h"

#include <cstdlib>
#include <new>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

std::atomic<std::uint64_t> next_session{1};

// Initial-exec: an access is a load relative to fs, never a call into the dynamic linker, which the hit path
// must not make.
[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadWords t_words[kWordsPerThread];

[[noreturn]] void die_without_memory() noexcept {
  constexpr char kMessage[] =
      "proberace: no memory for a thread's hit counters; its hits could not be counted\n";
  raw_syscall(SYS_write, STDERR_FILENO, kMessage, sizeof kMessage - 1);
  std::abort();
}

ThreadRecord* map_record() noexcept {
  constexpr std::size_t kBytes = (sizeof(ThreadRecord) + kPageBytes - 1) & ~(kPageBytes - 1);
  const long result = raw_syscall(SYS_mmap, nullptr, kBytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result < 0 && result > -static_cast<long>(kPageBytes))
    die_without_memory();
  // Zero pages are a valid record. Constructing it would touch every page of counters.
  auto* record = reinterpret_cast<ThreadRecord*>(result);
  record->mapped_bytes = kBytes;
  return record;
}

// Above this many records a new thread looks for one whose owner has ended before it maps its own. In a
// controlled run the limit is low, so that records are taken over there.
constexpr std::size_t kTakeOverAbove = schedule::kPoints ? 1 : 256;

void move_count(std::uint64_t& from, std::uint64_t& to) noexcept {
  if (from == 0)
    return;
  // Relaxed: they are counts only, and the owner of `from` has ended.
  __atomic_fetch_add(&to, from, __ATOMIC_RELAXED);
  __atomic_store_n(&from, 0, __ATOMIC_RELAXED);
}

} // namespace

StepInProgress& ThreadRecord::open_step() noexcept {
  // Relaxed: only this thread writes the word.
  std::uint32_t open = steps_open.load(std::memory_order_relaxed);
  if (open == kMaxSteps) {
    for (std::uint32_t i = 1; i < kMaxSteps; ++i)
      steps[i - 1] = steps[i];
    --open;
  }
  steps[open] = StepInProgress{};
  // Relaxed: departure reads it after the passage.
  steps_open.store(open + 1, std::memory_order_relaxed);
  return steps[open];
}

ThreadRecords::ThreadRecords(WordsOf place)
    // Relaxed: it is a number only.
    : session_(next_session.fetch_add(1, std::memory_order_relaxed)), place_(static_cast<std::size_t>(place)),
      departed_(map_record()) {}

ThreadRecords::~ThreadRecords() {
  // Pairs with map_new.
  for (ThreadRecord* r = first_.load(std::memory_order_acquire); r != nullptr;) {
    ThreadRecord* const next = r->next;
    ::munmap(r, r->mapped_bytes);
    r = next;
  }
  ::munmap(departed_, departed_->mapped_bytes);
}

std::int32_t ThreadRecords::words_offset() const noexcept {
  std::uintptr_t fs_base = 0;
  asm("movq %%fs:0, %0" : "=r"(fs_base)); // the thread pointer's own address (x86-64 psABI, 3.4.2)
  return static_cast<std::int32_t>(reinterpret_cast<std::uintptr_t>(&t_words[place_]) - fs_base);
}

ThreadRecord& ThreadRecords::mine() noexcept {
  ThreadWords& words = t_words[place_];
  if (words.session == session_)
    return *words.record;
  const pid_t thread = current_thread();
  ThreadRecord* record = size() > kTakeOverAbove ? take_over(thread) : nullptr;
  if (record == nullptr)
    record = map_new(thread);
  // A signal between these two stores re-enters with the old session and claims another record. The thread's later
  // traps find that one, so a step must be opened there, and not in ours, which nobody uses then. Counts are sums over
  // records, so nothing is lost. The fences keep the accesses in this order for the handler that interrupts them.
  words.record = record;
  schedule::point("record.words");
  std::atomic_signal_fence(std::memory_order_seq_cst);
  words.session = session_;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return *words.record;
}

ThreadRecord* ThreadRecords::map_new(pid_t thread) noexcept {
  ThreadRecord* const record = map_record();
  // Relaxed: the exchange below publishes it.
  record->owner.store(thread, std::memory_order_relaxed);
  ThreadRecord* head = first_.load(std::memory_order_relaxed);
  schedule::point("record.new");
  // The release pairs with for_each.
  do
    record->next = head;
  while (!first_.compare_exchange_weak(head, record, std::memory_order_release, std::memory_order_relaxed));
  // Relaxed: it is a statistic.
  size_.fetch_add(1, std::memory_order_relaxed);
  return record;
}

ThreadRecord* ThreadRecords::take_over(pid_t thread) noexcept {
  // Pairs with map_new.
  for (ThreadRecord* r = first_.load(std::memory_order_acquire); r != nullptr; r = r->next) {
    pid_t owner = r->owner.load(std::memory_order_relaxed);
    constexpr pid_t kBeingTaken = -1;
    if (owner == kBeingTaken || thread_alive(owner))
      continue;
    schedule::point("record.take");
    // The acquire pairs with the store of the owner below.
    if (!r->owner.compare_exchange_strong(owner, kBeingTaken, std::memory_order_acquire,
                                          std::memory_order_relaxed))
      continue;
    // Pairs with settled.
    moves_begun_.fetch_add(1, std::memory_order_seq_cst);
    // Pairs with sites_in_use.
    const std::uint32_t sites = sites_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < sites; ++i)
      move_count(r->hits[i], departed_->hits[i]);
    for (std::size_t i = 0; i < kPathCount; ++i)
      move_count(r->paths[i], departed_->paths[i]);
    // Pairs with settled.
    moves_ended_.fetch_add(1, std::memory_order_seq_cst);
    // The owner may have been killed inside the handler. Relaxed: the store of the new owner publishes both.
    r->depth.store(0, std::memory_order_relaxed);
    r->steps_open.store(0, std::memory_order_relaxed);
    // Pairs with the exchange above.
    r->owner.store(thread, std::memory_order_release);
    return r;
  }
  return nullptr;
}

template <typename F> auto ThreadRecords::settled(F&& sum) const {
  for (;;) {
    // Both words pair with take_over.
    const std::uint64_t ended = moves_ended_.load(std::memory_order_seq_cst);
    // A new thread is moving counts in its handler; it takes no lock and will end.
    if (moves_begun_.load(std::memory_order_seq_cst) != ended)
      continue;
    auto result = sum();
    if (moves_begun_.load(std::memory_order_seq_cst) == ended)
      return result;
  }
}

std::uint64_t ThreadRecords::total(std::uint32_t site_index) const noexcept {
  return settled([&] {
    std::uint64_t sum = read_counter(departed_->hits[site_index]);
    for_each([&](const ThreadRecord& r) { sum += read_counter(r.hits[site_index]); });
    return sum;
  });
}

std::uint64_t ThreadRecords::of_thread(std::uint32_t site_index, pid_t thread) const noexcept {
  return settled([&] {
    std::uint64_t sum = 0;
    for_each([&](const ThreadRecord& r) {
      // Relaxed: a thread id is only a label here.
      if (r.owner.load(std::memory_order_relaxed) == thread)
        sum += read_counter(r.hits[site_index]);
    });
    return sum;
  });
}

std::map<pid_t, std::uint64_t> ThreadRecords::by_thread(std::uint32_t site_index) const {
  return settled([&] {
    std::map<pid_t, std::uint64_t> counts;
    if (const std::uint64_t folded = read_counter(departed_->hits[site_index]); folded != 0)
      counts[0] = folded;
    for_each([&](const ThreadRecord& r) {
      if (const std::uint64_t hits = read_counter(r.hits[site_index]); hits != 0)
        // Relaxed: a thread id is only a label here.
        counts[r.owner.load(std::memory_order_relaxed)] += hits;
    });
    return counts;
  });
}

std::uint64_t ThreadRecords::total(Path path) const noexcept {
  const auto i = static_cast<std::size_t>(path);
  return settled([&] {
    std::uint64_t sum = read_counter(departed_->paths[i]);
    for_each([&](const ThreadRecord& r) { sum += read_counter(r.paths[i]); });
    return sum;
  });
}

std::uint64_t ThreadRecords::mapped_bytes() const noexcept {
  std::uint64_t sum = departed_->mapped_bytes;
  for_each([&](const ThreadRecord& r) { sum += r.mapped_bytes; });
  return sum;
}

} // namespace proberace
