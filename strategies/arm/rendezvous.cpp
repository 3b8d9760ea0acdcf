#include "strategies/arm/rendezvous.h"

#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "harness/schedule/point.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kRendezvousTimeout{2};

// One rendezvous at a time in a process. The generation is odd while threads are to wait.
std::atomic<std::uint32_t> generation{0};
constexpr std::size_t kMaxThreads = 32 * 1024;
std::atomic<pid_t> arrived[kMaxThreads];
std::atomic<std::uint32_t> arrivals{0};
std::atomic<bool> in_use{false};

// signal-safe. The thread waits here. A signal that comes late, when nobody waits any more, is nothing.
void wait_here(int, siginfo_t*, void*) {
  const std::uint32_t round = generation.load(std::memory_order_acquire); // pairs with while_stopped
  if (round % 2 == 0)
    return;
  schedule::point("stop.arrive");
  const std::uint32_t place = arrivals.fetch_add(1, std::memory_order_relaxed); // the store below publishes
  if (place < kMaxThreads)
    arrived[place].store(current_thread(), std::memory_order_release); // pairs with has_all
  while (generation.load(std::memory_order_acquire) == round)          // pairs with let_go
    if (!schedule::waiting("stop.wait"))
      raw_syscall(SYS_futex, &generation, FUTEX_WAIT_PRIVATE, round, nullptr);
}

void let_go() {
  generation.fetch_add(1, std::memory_order_release); // pairs with wait_here: what `job` wrote is there
  raw_syscall(SYS_futex, &generation, FUTEX_WAKE_PRIVATE, INT_MAX);
}

// A set of threads that allocates nothing: one that waits may have been stopped inside malloc.
class ThreadSet {
public:
  void clear() noexcept { places_.fill(0); }
  bool contains(pid_t thread) const noexcept { return places_[place_of(thread)] == thread; }
  // True if it was not there yet. The set has room for twice as many as there may be.
  bool insert(pid_t thread) noexcept {
    pid_t& place = places_[place_of(thread)];
    const bool fresh = place != thread;
    place = thread;
    return fresh;
  }

private:
  static constexpr std::size_t kPlaces = 2 * kMaxThreads;
  // Its own, or a free one.
  std::size_t place_of(pid_t thread) const noexcept {
    std::size_t at = static_cast<std::size_t>(thread) % kPlaces;
    while (places_[at] != 0 && places_[at] != thread)
      at = (at + 1) % kPlaces;
    return at;
  }

  std::array<pid_t, kPlaces> places_{};
};

// Of the one rendezvous.
ThreadSet called, here;

void note_who_has_arrived() {
  here.clear();
  const std::size_t n = std::min<std::size_t>(arrivals.load(std::memory_order_acquire), kMaxThreads);
  for (std::size_t i = 0; i < n; ++i)
    here.insert(arrived[i].load(std::memory_order_acquire)); // pairs with wait_here
}

// One look at all threads: calls those that were not called yet.
struct Look {
  int signo;
  pid_t self;
  pid_t missing = 0;
  std::size_t seen = 0;

  static void at(pid_t thread, void* argument) {
    auto& look = *static_cast<Look*>(argument);
    if (++look.seen > kMaxThreads) {
      look.missing = thread;
      return;
    }
    if (called.insert(thread)) {
      raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), thread, look.signo);
      schedule::signal_sent(thread);
    }
    if (thread != look.self && !here.contains(thread))
      look.missing = thread;
  }
};

} // namespace

Status Rendezvous::open() {
  if (in_use.exchange(true, std::memory_order_acq_rel)) // pairs with close
    return failure(ErrorKind::AlreadyOpen, "a rendezvous is open in this process already");
  for (int candidate = SIGRTMAX; candidate >= SIGRTMIN; --candidate) {
    if (current_signal_action(candidate).handler != nullptr)
      continue;
    const auto old = install_signal_action(candidate, &wait_here, SA_RESTART, kAllSignals);
    if (!old)
      continue;
    signo_ = candidate;
    before_ = *old;
    return {};
  }
  in_use.store(false, std::memory_order_release); // pairs with open
  return failure(ErrorKind::NoRoom, "the program uses every real-time signal");
}

void Rendezvous::close() {
  if (signo_ == 0)
    return;
  // A thread that blocks the signal may have it pending; ignoring it throws that away (sigaction(2)).
  SignalAction ignore{};
  ignore.handler = reinterpret_cast<SignalHandler>(std::uintptr_t{1}); // SIG_IGN
  restore_signal_action(signo_, ignore);
  restore_signal_action(signo_, before_);
  signo_ = 0;
  in_use.store(false, std::memory_order_release); // pairs with open
}

Status Rendezvous::while_stopped(void (*job)(void*) noexcept, void* argument) {
  schedule::point("stop.call");
  arrivals.store(0, std::memory_order_relaxed);       // nobody waits: the generation is even
  generation.fetch_add(1, std::memory_order_release); // pairs with wait_here
  const auto deadline = Clock::now() + kRendezvousTimeout;
  called.clear();
  called.insert(current_thread());
  pid_t missing = 0;
  bool listed = true;
  // A thread that was not in the list was created by one that had not stopped yet; so a pass that finds every
  // thread arrived has them all (H07).
  for (;;) {
    note_who_has_arrived();
    Look look{signo_, current_thread()};
    listed = for_each_thread(&Look::at, &look);
    missing = look.missing;
    if ((listed && missing == 0) || Clock::now() > deadline)
      break;
    constexpr timespec kPoll{0, 20'000};
    if (!schedule::waiting("stop.look"))
      raw_syscall(SYS_nanosleep, &kPoll, nullptr);
  }
  const bool stopped = listed && missing == 0;
  if (stopped)
    job(argument);
  let_go();
  if (stopped)
    return {};
  if (!listed)
    return failure(ErrorKind::ThreadWouldNotStop, "the threads of this process cannot be listed");
  return failure(ErrorKind::ThreadWouldNotStop,
                 "thread {} did not come within {} s: it blocks signal {} or sleeps uninterruptibly", missing,
                 kRendezvousTimeout.count(), signo_);
}

Footprint Rendezvous::footprint() const {
  Footprint f;
  f.signal_handlers = signo_ != 0 ? 1 : 0;
  return f;
}

} // namespace proberace
