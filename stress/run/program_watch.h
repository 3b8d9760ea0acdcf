// Waits for a probed program's end, or for a signal that asks `run` to leave it.
#pragma once

#include "harness/ptrace/supervisor.h"

#include <optional>

namespace proberace {

struct ProgramEnd {
  bool ended = false;          // else it runs on
  std::optional<int> status{}; // as wait4 gives it; none where the program is another's child
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

  // On return the supervisor has detached. With `stay` it serves until then, else it detaches at once.
  // `own_child` says that the program is this process' child.
  ProgramEnd until_end(Supervisor& supervisor, bool stay, bool own_child);

private:
  bool asked_to_leave();

  int signals_ = -1;
};

} // namespace proberace
