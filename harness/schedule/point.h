// Schedule points: named places in strategies and transports where a controlled run may let another thread
// run first. In an ordinary build every function here is empty, and the hit path's disassembly is the same as
// without it.
//
// Only files that are compiled twice (harness/trap, harness/ptrace, strategies, compiled_in.cpp) and
// plug-ins, which always have their points, may include this file; and only .cpp files: an inline function of
// a header would have two definitions in one program.
#pragma once

#include "harness/schedule/control.h"

#include <mutex>
#include <sched.h>

namespace proberace::schedule {

#ifdef PROBERACE_SCHEDULED
inline namespace scheduled {
inline constexpr bool kPoints = true;
#else
inline namespace free_running {
inline constexpr bool kPoints = false;
#endif

// The code from here to the thread's next point is one step, called `step` (a string literal). signal-safe.
[[gnu::always_inline]] inline void point([[maybe_unused]] const char* step,
                                         [[maybe_unused]] Address site = {}) noexcept {
  if constexpr (kPoints)
    detail::pass(step, site);
}

// In a loop that waits for another thread, after each look without success: this thread need not run again
// until another one has taken a step. False if nothing controls this thread; if something does, the thread
// must not sleep in the kernel. signal-safe.
[[gnu::always_inline]] inline bool waiting([[maybe_unused]] const char* step,
                                           [[maybe_unused]] Address site = {}) noexcept {
  if constexpr (kPoints)
    return detail::wait(step, site);
  else
    return false;
}

// A signal was sent to `thread`, which may take it while it idles. signal-safe.
[[gnu::always_inline]] inline void signal_sent([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    detail::signalled(thread);
}

// True if `thread` stands at a point: it sleeps there only because another one was chosen. signal-safe.
[[gnu::always_inline]] inline bool holds_back([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    return detail::holds_back(thread);
  else
    return false;
}

// Called first by a forked process that is no part of the run. Its points do nothing.
[[gnu::always_inline]] inline void leave() noexcept {
  if constexpr (kPoints)
    detail::leave();
}

// Called by a supervisor process: `thread` is in a ptrace stop, and handling the stop is its next step,
// called `step`. If true, the supervisor must wait until granted(thread), which it asks when the relay
// (await_grant) tells it to.
[[gnu::always_inline]] inline bool stopped([[maybe_unused]] int thread,
                                           [[maybe_unused]] const char* step) noexcept {
  if constexpr (kPoints)
    return detail::stopped(thread, step);
  else
    return false;
}
[[gnu::always_inline]] inline bool granted([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    return detail::granted(thread);
  else
    return true;
}
// The supervisor handles the stop now, without a grant: the thread runs to its next point while it is another's turn.
[[gnu::always_inline]] inline void withdrawn([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    detail::withdrawn(thread);
}

// A std::lock_guard whose wait a controlled run can see.
class Lock {
public:
  explicit Lock(std::mutex& mutex) : mutex_(mutex) {
    if constexpr (kPoints) {
      while (!mutex_.try_lock())
        if (!waiting("lock"))
          ::sched_yield();
    } else {
      mutex_.lock();
    }
  }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  std::mutex& mutex_;
};

} // inline namespace

} // namespace proberace::schedule
