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
    // Stopped by a supervisor process, which handles the stop once the task is granted its turn
    // (stopped_tasks.cpp).
    std::atomic<bool> stopped;
    std::atomic<bool> granted;
    std::atomic<bool> out_of_turn; // its stop was handled while it was another's turn
  };
  Task tasks[kMaxTasks];
  std::size_t kept;       // tasks 0 to kept - 1 run from schedule to schedule
  std::size_t task_count; // with those that are started and end within a schedule
  std::size_t running;
  std::uint64_t progress; // steps, without looks that found nothing changed
  std::atomic<Outcome> outcome;
  std::atomic<bool> runs; // a schedule does
  // Between a supervisor process and the thread that chooses for those it stops.
  struct alignas(64) Relay {
    std::atomic<std::uint32_t> news;    // futex, shared by processes: counts
    std::atomic<std::uint32_t> stopped; // a task that has just been, plus one
    std::atomic<bool> open;
  } relay;
  Trace trace;
};

} // namespace proberace::schedule
