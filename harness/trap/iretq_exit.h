// Leaving a signal handler without the kernel: vector state from the frame by XRSTOR, the general registers,
// and one IRETQ for the rest (SDM vol. 2A, IRET; vol. 1, 13.8 "XRSTOR").
//
// Idea: sigreturn(2) is the larger half of the cost of a hit, and all but three of the things that it does
// can be done here. This way out does not restore the signal mask (so the handler must hold no signal back),
// does not restore the alternate stack (an SS_AUTODISARM one stays disarmed, H75), and does not deliver
// signals that wait. Trade-off: other signals land inside the handler, and their handlers see its PC.
#pragma once

#include <ucontext.h>

namespace proberace {

// signal-safe. `context` is the one that the kernel passed to a handler installed with SA_SIGINFO |
// SA_NODEFER, an empty mask and without SA_ONSTACK. The thread continues with its registers. NT may be set in
// its flags.
[[noreturn]] void leave_by_iretq(ucontext_t& context) noexcept;

} // namespace proberace
