// A conductor runs a scenario's threads: they report each step to it, and it decides when they take it.
#pragma once

#include "harness/base/address.h"

#include <cstdint>
#include <sys/types.h>

namespace proberace {

// The default implementation, for threads that run free, does nothing. All members are signal-safe.
class Conductor {
public:
  virtual ~Conductor() = default;
  // True if threads run one at a time, from step to step.
  virtual bool controls() const noexcept { return false; }
  // The thread is about to take a step of the scenario's own.
  virtual void step(const char* /*name*/, Address /*site*/) noexcept {}
  virtual void signal_sent(pid_t /*thread*/) noexcept {}
  // Called on a thread that a thread of the scenario has started, when it begins and when it ends.
  virtual void come(std::size_t /*number*/) noexcept {}
  virtual void go(std::size_t /*starter*/) noexcept {}
  // Called by the thread that has started it: waits until it has begun, and until it has ended.
  virtual void await(std::size_t /*number*/) noexcept {}
  virtual void wait_until_gone(std::size_t /*number*/) noexcept {}
  // Called in a child that was forked: nothing controls it.
  virtual void forked() noexcept {}
  // The number of steps taken by all threads so far.
  virtual std::uint32_t steps() const noexcept { return 0; }
};

} // namespace proberace
