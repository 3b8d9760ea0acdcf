#include "strategies/arm/rendezvous.h"

#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "harness/schedule/point.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <set>
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

std::set<pid_t> who_has_arrived() {
  std::set<pid_t> threads;
  const std::size_t n = std::min<std::size_t>(arrivals.load(std::memory_order_acquire), kMaxThreads);
  for (std::size_t i = 0; i < n; ++i)
    threads.insert(arrived[i].load(std::memory_order_acquire)); // pairs with wait_here
  return threads;
}

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
  std::set<pid_t> called{current_thread()};
  pid_t missing = 0;
  // A thread that was not in the list was created by one that had not stopped yet; so a pass that finds every
  // thread arrived has them all (H07).
  for (;;) {
    missing = 0;
    const std::set<pid_t> here = who_has_arrived();
    for (const pid_t thread : threads_of_this_process()) {
      if (called.insert(thread).second) {
        raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), thread, signo_);
        schedule::signal_sent(thread);
      }
      if (thread != current_thread() && !here.contains(thread))
        missing = thread;
    }
    if (missing == 0 || Clock::now() > deadline)
      break;
    constexpr timespec kPoll{0, 20'000};
    if (!schedule::waiting("stop.look"))
      raw_syscall(SYS_nanosleep, &kPoll, nullptr);
  }
  if (missing == 0)
    job(argument);
  let_go();
  if (missing == 0)
    return {};
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
