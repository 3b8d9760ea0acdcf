// In a controlled run: the thread that chooses who goes on for threads that the supervisor has stopped at
// traps, and tells the supervisor whose turn has come (schedule/stopped_tasks.cpp). In an ordinary build
// there is none.
#pragma once

#include "harness/ptrace/command_channel.h"

#include <thread>

namespace proberace {

class TurnRelay {
public:
  // The channel outlives it, and is open until it has gone.
  explicit TurnRelay(CommandChannel& channel);
  ~TurnRelay();
  TurnRelay(const TurnRelay&) = delete;
  TurnRelay& operator=(const TurnRelay&) = delete;

private:
  std::thread thread_;
};

} // namespace proberace
