// State and helpers that the signal handlers of signals.cpp and own_traps.cpp share.
#pragma once

#include "stress/scenario/signals.h"

#include <csetjmp>
#include <csignal>
#include <cstdint>

namespace proberace::signals {

inline constexpr std::size_t kNoBody = SIZE_MAX;

// A thread of the scenario, or one that such a thread has started.
struct Self {
  ScenarioRun* run = nullptr;
  std::size_t thread = 0;
  std::size_t nested = kNoBody;                   // what the next hit's handler executes
  Signals::Change change = Signals::Change::None; // what the next hit's handler changes
  sigjmp_buf* way_out = nullptr;                  // out of the execution, while one may be left
  std::uint64_t mask = 0;                         // the thread's own, when it began the execution
  Address own_start{}, own_end{};                 // code of the thread's own
  std::uintptr_t trap_returns = 0;                // behind the int3 that is executed next
  bool steps_itself = false;                      // with the trap flag
  std::uint32_t traps = 0;                        // that the program's own handler was given, where they were
};
// Initial-exec: reached from signal handlers.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local Self t_self;

void take_one(int signo, void (*handler)(int, siginfo_t*, void*), struct sigaction* old, int flags = 0);
// Signals that are not ours go to the handler that was there before, which does not return. signal-safe.
void pass_on(const struct sigaction& old, int signo, siginfo_t* info, void* context);

} // namespace proberace::signals
