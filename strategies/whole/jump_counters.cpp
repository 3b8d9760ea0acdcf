#include "strategies/whole/jump_counters.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"

#include <cstdlib>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

// Zero is what a thread's words begin with, all ones what no thread ever has (trampoline.h).
std::atomic<std::uint32_t> next_epoch{1};

[[gnu::tls_model("initial-exec")]] constinit thread_local CounterWords t_words;

[[noreturn]] void die_without_memory() noexcept {
  constexpr char kMessage[] =
      "proberace: no memory for a thread's hit counters; its hits could not be counted\n";
  raw_syscall(SYS_write, STDERR_FILENO, kMessage, sizeof kMessage - 1);
  std::abort();
}

CounterBlock* map_block() noexcept {
  constexpr std::size_t kBytes = (sizeof(CounterBlock) + kPageBytes - 1) & ~(kPageBytes - 1);
  const long result = raw_syscall(SYS_mmap, nullptr, kBytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result < 0 && result > -static_cast<long>(kPageBytes))
    die_without_memory();
  auto* block = reinterpret_cast<CounterBlock*>(result); // zero pages are a valid block
  block->mapped_bytes = kBytes;
  return block;
}

std::uint64_t read(const std::uint64_t& counter) noexcept {
  return __atomic_load_n(&counter,
                         __ATOMIC_RELAXED); // a count only; ordered by serialisation where it matters
}

void move_count(std::uint64_t& from, std::uint64_t& to) noexcept {
  if (from == 0)
    return;
  __atomic_fetch_add(&to, from, __ATOMIC_RELAXED); // a count only
  __atomic_store_n(&from, 0, __ATOMIC_RELAXED);    // its owner has ended
}

} // namespace

JumpCounters::JumpCounters()
    : epoch_(next_epoch.fetch_add(1, std::memory_order_relaxed)), // a number only
      departed_(map_block()) {}

JumpCounters::~JumpCounters() {
  for (CounterBlock* b = first_.load(std::memory_order_acquire); b != nullptr;) { // pairs with map_new
    CounterBlock* const next = b->next;
    ::munmap(b, b->mapped_bytes);
    b = next;
  }
  ::munmap(departed_, departed_->mapped_bytes);
}

std::int32_t JumpCounters::words_offset() noexcept {
  std::uintptr_t fs_base = 0;
  asm("movq %%fs:0, %0" : "=r"(fs_base)); // the thread pointer's own address (x86-64 psABI, 3.4.2 and TLS)
  return static_cast<std::int32_t>(reinterpret_cast<std::uintptr_t>(&t_words) - fs_base);
}

CounterBlock& JumpCounters::mine() noexcept {
  if (t_words.epoch == epoch_)
    return *t_words.block;
  const pid_t thread = current_thread();
  CounterBlock* block = blocks() > kTakeOverAbove ? take_over(thread) : nullptr;
  if (block == nullptr)
    block = map_new(thread);
  // A signal between these two stores re-enters with the old epoch and claims another block: counts are sums
  // over blocks, so nothing is lost.
  t_words.block = block;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_words.epoch = epoch_;
  return *block;
}

CounterBlock* JumpCounters::map_new(pid_t thread) noexcept {
  CounterBlock* const block = map_block();
  block->owner.store(thread, std::memory_order_relaxed); // published by the exchange below
  CounterBlock* head = first_.load(std::memory_order_relaxed);
  do
    block->next = head;
  while (!first_.compare_exchange_weak(head, block, std::memory_order_release, // pairs with for_each
                                       std::memory_order_relaxed));
  size_.fetch_add(1, std::memory_order_relaxed); // a statistic
  return block;
}

CounterBlock* JumpCounters::take_over(pid_t thread) noexcept {
  for (CounterBlock* b = first_.load(std::memory_order_acquire); b != nullptr;
       b = b->next) { // pairs with map_new
    pid_t owner = b->owner.load(std::memory_order_relaxed);
    constexpr pid_t kBeingTaken = -1;
    if (owner == kBeingTaken || thread_alive(owner) ||
        !b->owner.compare_exchange_strong(owner, kBeingTaken,
                                          std::memory_order_acquire, // pairs with the store below
                                          std::memory_order_relaxed))
      continue;
    moves_begun_.fetch_add(1, std::memory_order_seq_cst);               // pairs with settled
    const std::uint32_t sites = sites_.load(std::memory_order_acquire); // pairs with sites_in_use
    for (std::uint32_t i = 0; i < sites; ++i)
      move_count(b->hits[i], departed_->hits[i]);
    for (std::size_t i = 0; i < kPathCount; ++i)
      move_count(b->paths[i], departed_->paths[i]);
    moves_ended_.fetch_add(1, std::memory_order_seq_cst); // pairs with settled
    b->depth.store(0, std::memory_order_relaxed);         // its owner may have ended inside a hit handler
    b->owner.store(thread, std::memory_order_release);    // pairs with the exchange above
    return b;
  }
  return nullptr;
}

template <typename F> auto JumpCounters::settled(F&& sum) const {
  for (;;) {
    const std::uint64_t ended = moves_ended_.load(std::memory_order_seq_cst); // pairs with take_over
    if (moves_begun_.load(std::memory_order_seq_cst) != ended)
      continue; // a new thread is moving counts; it takes no lock and will end
    const auto result = sum();
    if (moves_begun_.load(std::memory_order_seq_cst) == ended) // pairs with take_over
      return result;
  }
}

std::map<pid_t, std::uint64_t> JumpCounters::of_site(std::uint32_t index) const {
  return settled([&] {
    std::map<pid_t, std::uint64_t> counts;
    if (const std::uint64_t folded = read(departed_->hits[index]); folded != 0)
      counts[0] = folded;
    for_each([&](const CounterBlock& b) {
      if (const std::uint64_t hits = read(b.hits[index]); hits != 0)
        counts[b.owner.load(std::memory_order_relaxed)] += hits; // a thread id is only a label here
    });
    return counts;
  });
}

std::uint64_t JumpCounters::total(Path path) const noexcept {
  const auto i = static_cast<std::size_t>(path);
  return settled([&] {
    std::uint64_t sum = read(departed_->paths[i]);
    for_each([&](const CounterBlock& b) { sum += read(b.paths[i]); });
    return sum;
  });
}

std::uint64_t JumpCounters::mapped_bytes() const noexcept {
  std::uint64_t sum = departed_->mapped_bytes;
  for_each([&](const CounterBlock& b) { sum += b.mapped_bytes; });
  return sum;
}

} // namespace proberace
