// Waits for a probed program's end, or for a signal that asks `run` to leave it.
#pragma once

#include "harness/ptrace/supervisor.h"

#include <optional>

namespace proberace {

struct ProgramEnd {
  bool ended = false;          // else it runs on
  std::optional<int> status{}; // as wait4 gives it; none where only its parent may know
  Status left{};               // whether it was left as it was
};

class ProgramWatch {
public:
  // Blocks every signal that can be blocked; from here on they are read, one at a time, by until_end. Signals
  // that stop this process (SIGTSTP, ...) are not obeyed: the program would stand still at its next hit.
  ProgramWatch();
  ~ProgramWatch();
  ProgramWatch(const ProgramWatch&) = delete;
  ProgramWatch& operator=(const ProgramWatch&) = delete;

  // Serves until then. On return the supervisor has detached.
  ProgramEnd until_end(Supervisor& supervisor);

private:
  bool asked_to_leave();

  int signals_ = -1;
};

} // namespace proberace
