#include "stress/bench/bare_trap.h"

#include "harness/probe/trap_context.h"

#include <ucontext.h>

namespace proberace {

namespace {

// A debug trap ends the step that an int3 with rax = 1 began.
void on_trap(int, siginfo_t* info, void* raw) {
  auto& registers = static_cast<ucontext_t*>(raw)->uc_mcontext.gregs;
  if (info->si_code == SI_KERNEL && registers[REG_RAX] == 1)
    registers[REG_EFL] |= static_cast<greg_t>(kTrapFlag);
  else
    registers[REG_EFL] &= ~static_cast<greg_t>(kTrapFlag);
}

} // namespace

BareTraps::BareTraps() : before_(current_signal_action(SIGTRAP)) {
  (void)install_signal_action(SIGTRAP, &on_trap, 0, kAllSignals); // fails for no signal but SIGKILL, SIGSTOP
}

} // namespace proberace
