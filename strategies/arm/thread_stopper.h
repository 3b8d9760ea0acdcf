// Stops every thread of this process but the caller's, runs a function, lets them go.
//
// A process cannot ptrace its own threads, so each call starts a helper that shares its memory but is another
// process (clone with CLONE_VM and no CLONE_THREAD; LeakSanitizer's StopTheWorld does the same). The helper
// seizes and interrupts every thread and reads the thread list again until a whole pass finds no new one: a
// thread created meanwhile is created by one that is not stopped yet, so the last pass has them all (H07). It
// runs raw system calls only, because it shares its creator's thread-local storage. It has no exit signal, so
// the program's own wait() does not see it (H77).
#pragma once

#include "harness/base/error.h"
#include "harness/probe/footprint.h"

#include <chrono>

namespace proberace {

inline constexpr std::chrono::seconds kStopTimeout{2};

class ThreadStopper {
public:
  ThreadStopper() = default;
  ~ThreadStopper() { close(); }
  ThreadStopper(const ThreadStopper&) = delete;
  ThreadStopper& operator=(const ThreadStopper&) = delete;

  Status open();
  void close();

  // `job` runs in the helper: no libc, no thread-local storage of its own. Signals a thread was about to take
  // are handed to it when it continues. ThreadWouldNotStop (a thread in an uninterruptible sleep, H08) after
  // kStopTimeout, NoPermission if ptrace is refused; then `job` has not run and every thread continues.
  Status while_stopped(void (*job)(void*) noexcept, void* argument);

  Footprint footprint() const;

private:
  void* memory_ = nullptr; // the helper's stack and its list of threads
};

} // namespace proberace
