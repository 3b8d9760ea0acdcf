// Probes in a program that knows nothing of them, by one way of probing.
#pragma once

#include "harness/ptrace/supervisor.h"
#include "stress/debuggee/probe_spec.h"

#include <map>
#include <memory>
#include <span>

namespace proberace {

class ProgramProbes {
public:
  virtual ~ProgramProbes() = default;

  // True if the program must be traced while it is probed.
  virtual bool by_tracing() const = 0;
  // Precondition: a program that was launched stands at its entry, traced by `supervisor`; so does, anywhere, one
  // that is probed by tracing. On success a program that need not be traced any more is let go. The first site
  // that is refused, in words; then nothing stays armed.
  virtual Status arm(Supervisor& supervisor, pid_t process, std::span<const ProbePlace> places) = 0;
  // Ends the counting. What went wrong meanwhile, if the counts are not whole.
  virtual Status disarm() = 0;

  // By thread id. Precondition: disarm().
  virtual std::map<pid_t, std::uint64_t> hits(std::size_t place) const = 0;
};

// By an armer and a stepper, from the supervisor.
std::unique_ptr<ProgramProbes> traced_probes();
// By the kernel's uprobes (uprobe_counters.h).
std::unique_ptr<ProgramProbes> uprobe_probes();

} // namespace proberace
