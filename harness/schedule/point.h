// Schedule points: named places in strategies and transports where a controlled run may let another thread go
// first. An ordinary build has none of it: every function here is empty, and the hit path's disassembly the
// same as without.
//
// Only what is compiled twice (harness/trap, harness/ptrace, strategies, compiled_in.cpp) may include this file, and
// plug-ins, which always have their points; and only from .cpp files: a header's inline function would mean two
// things in one program.
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

// What follows is one step, called `step` (a string literal). signal-safe.
[[gnu::always_inline]] inline void point([[maybe_unused]] const char* step,
                                         [[maybe_unused]] Address site = {}) noexcept {
  if constexpr (kPoints)
    detail::pass(step, site);
}

// In a loop that waits for another thread, at each look in vain: this one need not run again until another
// has taken a step. False where nothing controls this thread: it must not sleep in the kernel otherwise.
// signal-safe.
[[gnu::always_inline]] inline bool waiting([[maybe_unused]] const char* step,
                                           [[maybe_unused]] Address site = {}) noexcept {
  if constexpr (kPoints)
    return detail::wait(step, site);
  else
    return false;
}

// A signal was sent to this thread, which may take it where it idles. signal-safe.
[[gnu::always_inline]] inline void signal_sent([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    detail::signalled(thread);
}

// Whether this thread stands at a point: it sleeps there, but only because another was chosen. signal-safe.
[[gnu::always_inline]] inline bool holds_back([[maybe_unused]] int thread) noexcept {
  if constexpr (kPoints)
    return detail::holds_back(thread);
  else
    return false;
}

// By a process that was forked and is no part of the run, first. Its points do nothing.
[[gnu::always_inline]] inline void leave() noexcept {
  if constexpr (kPoints)
    detail::leave();
}

// By a supervisor process: this thread is in a ptrace stop, and handling it is the next step of the thread's,
// called `step`. True: not before granted(thread), which is asked once whoever relays (await_grant) says so.
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

// std::lock_guard, whose wait a controlled run sees.
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
