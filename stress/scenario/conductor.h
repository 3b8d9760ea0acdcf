// Whoever runs a scenario's threads hears of each step from them, and decides when they take it.
#pragma once

#include "harness/base/address.h"

#include <cstdint>
#include <sys/types.h>

namespace proberace {

// As it is, for threads that run free: it decides nothing. All members are signal-safe.
class Conductor {
public:
  virtual ~Conductor() = default;
  // True if threads run one at a time, from step to step.
  virtual bool controls() const noexcept { return false; }
  // The thread is about to take a step of the scenario's own.
  virtual void step(const char* /*name*/, Address /*site*/) noexcept {}
  virtual void signal_sent(pid_t /*thread*/) noexcept {}
  // On a thread that `thread` of the scenario has started: it begins, and ends.
  virtual void come(std::size_t /*number*/) noexcept {}
  virtual void go(std::size_t /*starter*/) noexcept {}
  // By the thread that has started it: until it has come, and until it has gone.
  virtual void await(std::size_t /*number*/) noexcept {}
  virtual void wait_until_gone(std::size_t /*number*/) noexcept {}
  // In a child that was forked: nobody controls it.
  virtual void forked() noexcept {}
  // Taken by all threads so far.
  virtual std::uint32_t steps() const noexcept { return 0; }
};

} // namespace proberace
