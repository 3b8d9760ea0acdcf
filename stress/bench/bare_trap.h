// The trap floor: a trap whose handler does nothing, with every signal blocked meanwhile, as ours blocks
// them, and whose way out is sigreturn.
#pragma once

#include "harness/base/signal_action.h"

namespace proberace {

// While one exists this process's SIGTRAP is for bare_trap and bare_step, and no prober gets it.
class BareTraps {
public:
  BareTraps();
  ~BareTraps() { restore_signal_action(SIGTRAP, before_); }
  BareTraps(const BareTraps&) = delete;
  BareTraps& operator=(const BareTraps&) = delete;

private:
  SignalAction before_;
};

// int3, and back.
inline void bare_trap() {
  asm volatile("int3" : : "a"(0) : "memory");
}
// int3, then a single-stepped nop: the two traps of a stepped hit.
inline void bare_step() {
  asm volatile("int3\n\tnop" : : "a"(1) : "memory");
}

} // namespace proberace
