// Runs code from any state of the thread, on the bare processor, and reports the state it ends in.
//
// Idea: an invalid instruction brings the thread into a signal handler, which replaces everything in its
// frame; the kernel loads it on the way out. The code runs at full speed, nothing set or watched, until it
// raises a signal: a fault of its own, or the hlt the code around it is filled with (privileged: SIGSEGV at
// its own address, one byte, so that every wrong way out shows where it came out). That signal's frame is the
// answer. Works on code with probes in it as on code without.
#pragma once

#include "stress/transparency/isa/machine_state.h"

#include <memory>

namespace proberace {

inline constexpr std::uint8_t kHalt = 0xF4;

struct RunEnd {
  MachineState state;  // at the signal
  HardwareFault fault; // what the signal said
};

// Handlers for the signals an instruction can raise, on a stack of their own, while it lives: make it before
// a prober opens. One per process, used by one thread.
class BareRunner {
public:
  BareRunner();
  ~BareRunner();
  BareRunner(const BareRunner&) = delete;
  BareRunner& operator=(const BareRunner&) = delete;

  // Starts at start.at(Rip). Valid until the next run.
  const RunEnd& run(const MachineState& start);

private:
  struct Installed;
  std::unique_ptr<Installed> installed_;
};

} // namespace proberace
