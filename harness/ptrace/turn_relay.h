// In a controlled run: a thread that takes part in the schedule for the threads that the supervisor has
// stopped at traps, and tells the supervisor whose turn has come (schedule/stopped_tasks.cpp). An ordinary
// build has none.
#pragma once

#include "harness/ptrace/command_channel.h"

#include <thread>

namespace proberace {

class TurnRelay {
public:
  // Precondition: the channel outlives the relay, and is open until the relay has gone.
  explicit TurnRelay(CommandChannel& channel);
  ~TurnRelay();
  TurnRelay(const TurnRelay&) = delete;
  TurnRelay& operator=(const TurnRelay&) = delete;

private:
  std::thread thread_;
};

} // namespace proberace
