// Where the tasks of a controlled run stand. Lies in memory that survives the process.
#pragma once

#include "harness/schedule/trace.h"

#include <sys/types.h>

namespace proberace::schedule {

enum class Outcome : std::uint32_t {
  None,     // a schedule runs, or none was begun
  Done,     // every task idles
  Deadlock, // no task can run, and not all idle
  TooLong,  // kMaxSteps
};

// Lies in memory that survives the process; zero bytes are a valid start.
struct State {
  struct alignas(64) Task {
    enum class Doing : std::uint32_t { Nothing, Ready, Waiting, Idle };
    std::atomic<std::uint32_t> turn; // futex: 1 once it is this task's turn
    Doing doing;
    std::atomic<bool> signal_sent;
    const char* at;
    Address site;
    std::uint64_t progress_seen;
    std::atomic<pid_t> thread;
  };
  Task tasks[kMaxTasks];
  std::size_t task_count;
  std::size_t running;
  std::uint64_t progress; // steps that were not looks in vain
  std::atomic<Outcome> outcome;
  Trace trace;
};

} // namespace proberace::schedule
