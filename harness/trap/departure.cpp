#include "harness/trap/departure.h"

#include "harness/base/failure.h"
#include "harness/base/threads.h"
#include "harness/schedule/point.h"

#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <string>
#include <thread>

namespace proberace {

namespace {

// A caller that waits this long, or longer, must not give up early.
constexpr std::chrono::seconds kLongPatience{1};

using Clock = std::chrono::steady_clock;

// Longer than one accounting tick at HZ=100 and the few microseconds of the exception path.
constexpr std::uint64_t kRunNanosecondsToHaveLeft = 12'000'000;
// Each pause is longer than the one before: a thread on this one's CPU that sleeps and wakes in step with the
// looks would be found awake at all of them.
constexpr std::chrono::microseconds kFirstPause{1'000}, kLonger{70};

struct ThreadState {
  bool exists = true; // also if that cannot be found out
  bool asleep = false;
  bool trap_pending = false;
  std::uint64_t run_nanoseconds = 0;
};

// proc(5): status (State, SigPnd) and schedstat (first field: time on a CPU).
ThreadState look_at(pid_t thread) {
  ThreadState state;
  errno = 0;
  std::ifstream status(fmt::format("/proc/self/task/{}/status", thread));
  if (!status)
    state.exists = errno != ENOENT && errno != ESRCH;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("State:\t")) {
      state.exists = line[7] != 'Z' && line[7] != 'X';
      state.asleep = line[7] == 'S' || line[7] == 'I';
    } else if (line.starts_with("SigPnd:\t")) {
      state.trap_pending = (std::stoull(line.substr(8), nullptr, 16) & (1ULL << (SIGTRAP - 1))) != 0;
    }
  }
  // A controlled run holds threads back where they would continue.
  state.asleep = state.asleep && !schedule::holds_back(thread);
  std::ifstream(fmt::format("/proc/self/task/{}/schedstat", thread)) >> state.run_nanoseconds;
  return state;
}

bool in_handler(const ThreadRecords& records, pid_t thread) {
  bool found = false;
  records.for_each([&](const ThreadRecord& r) {
    // The acquire pairs with ~Passage.
    if (r.owner.load(std::memory_order_relaxed) == thread && r.depth.load(std::memory_order_acquire) != 0)
      found = true;
  });
  return found;
}

} // namespace

Status wait_for_departure(const ThreadRecords& records, const OurCode& ours,
                          std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::map<pid_t, std::uint64_t> first_seen_running; // its run time at the first look
  for (auto pause = kFirstPause;; pause += kLonger) {
    const std::vector<pid_t> threads = threads_of_this_process();
    pid_t waiting_for = 0;
    for (const pid_t thread : threads) {
      if (thread == current_thread())
        continue;
      const ThreadState state = look_at(thread);
      if (!state.exists)
        continue;
      const auto [seen, fresh] = first_seen_running.try_emplace(thread, state.run_nanoseconds);
      const bool ran_on = state.run_nanoseconds >= seen->second + kRunNanosecondsToHaveLeft;
      if (state.trap_pending || in_handler(records, thread) ||
          !(state.asleep ? whereabouts(thread, ours) == Whereabouts::Elsewhere : ran_on))
        waiting_for = thread;
    }
    if (waiting_for == 0 && !threads.empty())
      return {};
    if (Clock::now() > deadline && threads.empty())
      return failure(ErrorKind::NotQuiescent,
                     "the threads of this process cannot be listed (/proc/self/task; out of "
                     "descriptors?), so none is known to have left");
    // A thread that a controlled run holds back does not leave while this one only waits.
    const bool held_back = schedule::holds_back(waiting_for);
    if (held_back && timeout >= kLongPatience && schedule::waiting("departure.wait"))
      continue;
    if (Clock::now() > deadline || held_back)
      return failure(ErrorKind::NotQuiescent, "thread {} has not left a hit within {} ms", waiting_for,
                     timeout.count());
    std::this_thread::sleep_for(pause);
  }
}

} // namespace proberace
