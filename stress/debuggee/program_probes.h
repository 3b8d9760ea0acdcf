// Probes in a program that knows nothing of them, by one way of probing.
#pragma once

#include "harness/ptrace/supervisor.h"
#include "stress/debuggee/probe_spec.h"

#include <map>
#include <memory>

namespace proberace {

class ProgramProbes {
public:
  virtual ~ProgramProbes() = default;

  // Precondition: `supervisor` has attached to the program; if it was launched, it stands at its entry. The
  // first site that is refused, in words; then nothing stays armed.
  virtual Status arm(Supervisor& supervisor, std::span<const ProbePlace> places) = 0;
  // Ends the counting. What went wrong meanwhile, if the counts are not whole.
  virtual Status disarm() = 0;

  // By thread id.
  virtual std::map<pid_t, std::uint64_t> hits(std::size_t place) const = 0;
};

// By an armer and a stepper, from the supervisor.
std::unique_ptr<ProgramProbes> traced_probes();
// By the kernel's uprobes, counted by perf for each of the program's threads; the supervisor only says which
// there are.
std::unique_ptr<ProgramProbes> uprobe_probes();

} // namespace proberace
