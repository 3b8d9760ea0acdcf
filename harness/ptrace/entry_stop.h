// Stops a new image at its first own instruction: at AT_ENTRY, to which the dynamic linker jumps last.
#pragma once

#include "harness/ptrace/ptrace_context.h"
#include "harness/ptrace/tracees.h"

namespace proberace {

class EntryStop {
public:
  EntryStop(Tracees& tracees, const TracedMemory& memory) : tracees_(tracees), memory_(memory) {}

  // From now on the image of the next exec is waited for.
  void expect() noexcept { entry_ = Entry{}; }
  // If one is waited for: puts an int3 where the new image's own code begins.
  void on_exec(pid_t process);
  // True if the trap was that int3: its byte is put back, and the thread will stop before it executes it.
  bool on_breakpoint(Tracee& tracee, PtraceContext& context);
  // The thread that got there; 0 before.
  pid_t arrived() const noexcept { return entry_ ? entry_->arrived : 0; }
  void done() noexcept { entry_.reset(); }

private:
  struct Entry {
    Address address{};
    std::uint8_t original = 0;
    pid_t arrived = 0;
  };

  Tracees& tracees_;
  const TracedMemory& memory_;
  std::optional<Entry> entry_;
};

} // namespace proberace
