// Waits for a probed program's end, or for a signal that asks `run` to leave it.
//
// A terminal's Ctrl-C or Ctrl-\ reaches a launched program, too, so the first one is the program's to answer. A
// second one, or any signal that somebody sends to this process alone, asks it to leave the program. A terminal's
// Ctrl-Z stops a launched program's threads, and this process once all of them have stopped.
#pragma once

#include "stress/debuggee/watched.h"

#include <chrono>
#include <functional>
#include <optional>

namespace proberace {

// When to do something while waiting.
struct WatchTimes {
  std::optional<std::chrono::milliseconds> duration{}; // after it the program is left; none: only for its end
  std::optional<std::chrono::milliseconds> interval{};
  std::function<void()> on_interval{};
};

struct ProgramEnd {
  bool ended = false;          // else it runs on
  std::optional<int> status{}; // as wait4 gives it; none where only its parent may know
  Status left{};               // whether it was left as it was
};

class ProgramWatch {
public:
  // Blocks every signal that can be blocked; from here on they are read, one at a time, by until_end.
  ProgramWatch();
  ~ProgramWatch();
  ProgramWatch(const ProgramWatch&) = delete;
  ProgramWatch& operator=(const ProgramWatch&) = delete;

  // The mask that this process had before.
  const sigset_t& mask_before() const noexcept { return mask_before_; }

  // True if somebody has asked it to leave already, before until_end.
  bool is_asked_to_leave(bool launched) {
    take_signals(launched);
    return leaving_;
  }

  // Serves until then. On return the program is let go. `launched`: the terminal's signals reach the program,
  // too.
  ProgramEnd until_end(Watched& program, bool launched, const WatchTimes& times = {});

private:
  using Clock = std::chrono::steady_clock;
  int milliseconds_left(const WatchTimes& times) const;
  void take_signals(bool launched);

  sigset_t mask_before_{};
  int signals_ = -1;
  bool interrupted_ = false; // by the terminal, once
  bool leaving_ = false;
  bool stopping_ = false;
  Clock::time_point begin_{};
  Clock::time_point next_interval_{};
};

} // namespace proberace
