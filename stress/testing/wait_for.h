// For threads of a test that meet.
#pragma once
#include "harness/base/raw_syscall.h"

#include <atomic>
#include <ctime>
#include <sys/syscall.h>

namespace proberace {

// Until the word is set. signal-safe.
inline void wait_for(const std::atomic<int>& word) {
  constexpr timespec kPoll{0, 100'000};
  while (word.load(std::memory_order_acquire) == 0) // pairs with the store that sets it
    raw_syscall(SYS_nanosleep, &kPoll, nullptr);
}

} // namespace proberace
