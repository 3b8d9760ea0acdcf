// Promises about leaving in the middle of a hit, one experiment each, named promise/<promise>: by a jump
// (handlers-may-longjmp, H26, H76), by the thread's end (threads-may-end, H23).
#include "stress/code/probed_code.h"

#include <atomic>
#include <csetjmp>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- handlers-may-longjmp

sigjmp_buf way_out;
volatile std::sig_atomic_t may_jump = 0;

void jump(int, siginfo_t*, void*) {
  if (may_jump != 0) {
    may_jump = 0;
    ::siglongjmp(way_out, 1);
  }
}

// Closes from another thread: closing waits for every thread but its own.
Status close_elsewhere(Prober& prober) {
  Status closed;
  std::thread([&] { closed = prober.close(); }).join();
  return closed;
}

// Hits of a thread that has just ended may reach the kernel's count a little later.
std::uint64_t settled_hits(const ProbedCode& code, std::size_t site, std::uint64_t wanted) {
  constexpr int kLooks = 300;
  for (int look = 0; look < kLooks && code.hits(site) < wanted; ++look)
    ::usleep(1000);
  return code.hits(site);
}

// Checked after any number of jumps out of hits: mask, counts, removal, closing.
Verdict everything_returned(ProbedCode& code, std::uint64_t least, std::uint64_t most) {
  constexpr std::uint64_t kTimes = 10;
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signo = 1; signo < SIGRTMIN; ++signo)
    if (::sigismember(&mask, signo) == 1)
      return broken("mask", fmt::format("signal {} is blocked after the jump", signo));
  const std::uint64_t hits = code.hits(0);
  if (hits < least || hits > most)
    return broken("wrong-count", fmt::format("{} hits, not between {} and {}", hits, least, most));
  const std::uint64_t others = code.hits(1);
  for (std::uint64_t i = 0; i < kTimes; ++i)
    if (code.function<Increment>(1)(i) != i + 1)
      return broken("wrong-result", "wrong result after the jumps");
  if (const std::uint64_t now = settled_hits(code, 1, others + kTimes); now != others + kTimes)
    return broken("wrong-count", fmt::format("{} executions of another probe after the jumps, {} hits",
                                             kTimes, now - others));
  return held();
}

Verdict gone_again(ProbedCode& code) {
  if (const Status removed = code.remove_all(); !removed)
    return broken("remove", describe(removed.error()));
  if (code.function<Increment>(1)(1) != 2)
    return broken("wrong-result", "wrong result after removal");
  const Status closed = close_elsewhere(code.prober());
  return closed ? held() : broken("close", describe(closed.error()));
}

Verdict jumps_out_of_faults(const Json& parameters) {
  constexpr std::uint64_t kTimes = 1000;
  auto code = ProbedCode::armed(parameters, {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  const GuardedPage page(0);
  on_signal(SIGSEGV, &jump);
  volatile std::uint64_t jumps = 0;
  const auto jump_once = [&] {
    if (sigsetjmp(way_out, 1) != 0) {
      jumps = jumps + 1;
      return;
    }
    may_jump = 1;
    (*code)->function<Load>()(page.address());
  };
  while (jumps < kTimes)
    jump_once();
  if (const Verdict v = everything_returned(**code, kTimes, kTimes); !v.is(Ending::Held))
    return v;
  jump_once(); // so that the last hit before closing was left by a jump
  return gone_again(**code);
}

// Signals of another thread, which is there from before the probes until after the judgement, jump out
// wherever they find this one.
Verdict jumps_out_anywhere(const Json& parameters) {
  constexpr std::uint64_t kJumps = 300;
  const pid_t self = ::gettid();
  std::atomic<bool> blow{false};
  std::jthread storm([self, &blow](std::stop_token stop) {
    while (!stop.stop_requested()) {
      if (blow.load(std::memory_order_relaxed)) // a request only
        ::tgkill(::getpid(), self, SIGUSR1);
      ::usleep(20);
    }
  });
  auto code = ProbedCode::armed(parameters, {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  on_signal(SIGUSR1, &jump);
  const std::uint64_t word = 3;
  volatile std::uint64_t started = 0;
  volatile std::uint64_t finished = 0;
  volatile std::uint64_t jumps = 0;
  volatile bool wrong = false;
  blow.store(true, std::memory_order_relaxed);
  while (jumps < kJumps && started < 400 * kJumps) {
    if (sigsetjmp(way_out, 1) != 0) {
      jumps = jumps + 1;
      continue;
    }
    may_jump = 1;
    started = started + 1;
    wrong = (*code)->function<Load>()(&word) != word || wrong;
    finished = finished + 1;
    may_jump = 0;
  }
  blow.store(false, std::memory_order_relaxed);
  if (wrong)
    return broken("wrong-result", "wrong result in a storm of jumps");
  if (const Verdict v = everything_returned(**code, finished, started); !v.is(Ending::Held))
    return v;
  return gone_again(**code);
}

Verdict handlers_may_longjmp(const Json& parameters, Arena&) {
  const Verdict faults = jumps_out_of_faults(parameters);
  return faults.is(Ending::Held) ? jumps_out_anywhere(parameters) : faults;
}

// ---- threads-may-end

void end_thread(int, siginfo_t*, void*) {
  if (::gettid() % 2 == 0)
    ::syscall(SYS_exit, 0);
  ::pthread_exit(nullptr);
}

struct Mortal {
  ProbedCode& code;
  const std::uint64_t* from;
};

void* hit_and_end(void* argument) {
  const Mortal& self = *static_cast<Mortal*>(argument);
  self.code.function<Increment>(1)(1);
  self.code.function<Load>()(self.from);
  return nullptr;
}

Verdict threads_may_end(const Json& parameters, Arena&) {
  // If the kernel takes 80 ms to end a thread, 300 of them would miss the deadline.
  const std::uint64_t threads = removes_slowly(parameters) ? 12 : 300;
  auto code = ProbedCode::armed(parameters, {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  const GuardedPage page(0);
  Mortal mortal{**code, page.address()};
  on_signal(SIGSEGV, &end_thread);
  for (std::uint64_t i = 1; i <= threads; ++i) {
    pthread_t thread;
    if (const int error = ::pthread_create(&thread, nullptr, &hit_and_end, &mortal); error != 0)
      return broken("setup", fmt::format("thread {} could not be created: error {}", i, error));
    ::pthread_join(thread, nullptr);
  }
  const std::uint64_t ended_in = settled_hits(**code, 0, threads);
  const std::uint64_t before = settled_hits(**code, 1, threads);
  if (ended_in != threads || before != threads)
    return broken("wrong-count", fmt::format("{} threads have ended; {} hits they ended in, {} before",
                                             threads, ended_in, before));
  return gone_again(**code);
}

const bool leaving_promises_registered =
    register_experiment("promise/handlers-may-longjmp", &handlers_may_longjmp) &&
    register_experiment("promise/threads-may-end", &threads_may_end);

} // namespace

} // namespace proberace
