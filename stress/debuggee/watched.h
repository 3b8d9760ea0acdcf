// A probed program, as who waits for its end sees it.
#pragma once

#include "harness/base/error.h"
#include "harness/ptrace/supervisor.h"

#include <memory>
#include <optional>
#include <sys/types.h>

namespace proberace {

class Watched {
public:
  virtual ~Watched() = default;

  // Becomes readable when serve() may have something to do.
  virtual int descriptor() const = 0;
  // Does what there is to do, without waiting.
  virtual void serve() = 0;
  virtual bool lives() const = 0;
  // True if every thread stands still until SIGCONT.
  virtual bool in_group_stop() const = 0;
  // As wait4 gives it; none while it lives, and where only its parent may know.
  virtual std::optional<int> exit_status() const = 0;
  // Lets go of it. The error says what stays behind.
  virtual Status let_go() = 0;
};

// A program that the supervisor traces. The supervisor outlives this.
std::unique_ptr<Watched> supervised(Supervisor& supervisor);
// A program that nobody here traces; `child`: this process started it.
std::expected<std::unique_ptr<Watched>, Error> untraced(pid_t process, bool child);

} // namespace proberace
