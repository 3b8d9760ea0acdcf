// Probes in a program that knows nothing of them, by one way of probing.
#pragma once

#include "harness/ptrace/supervisor.h"
#include "stress/names/probe_places.h"

#include <map>
#include <memory>
#include <span>
#include <vector>

namespace proberace {

class ProgramProbes {
public:
  virtual ~ProgramProbes() = default;

  // True if the program must be traced while it is probed.
  virtual bool by_tracing() const = 0;
  // Precondition: a program that was launched stands at its entry, traced by `supervisor`; so does, anywhere, one
  // that is probed by tracing. A result for each place. The error if none could be tried.
  virtual std::expected<SiteResults, Error> arm(Supervisor& supervisor, pid_t process,
                                                std::span<const ProbePlace> places) = 0;
  // Ends the counting. What went wrong meanwhile, if the counts are not whole.
  virtual Status disarm() = 0;

  // The hits of the places as they are now, by thread id; none of one that was refused.
  using Hits = std::vector<std::map<pid_t, std::uint64_t>>;
  virtual Hits hits() const = 0;
};

// By an armer and a stepper, from the supervisor.
std::unique_ptr<ProgramProbes> traced_probes();
// By the kernel's uprobes (uprobe_counters.h).
std::unique_ptr<ProgramProbes> uprobe_probes();

} // namespace proberace
