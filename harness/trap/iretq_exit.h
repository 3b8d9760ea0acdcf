// Leaving a signal handler without the kernel: vector state from the frame by XRSTOR, the general registers,
// and one IRETQ for the rest (SDM vol. 2A, IRET; vol. 1, 13.8 "XRSTOR").
//
// Idea: sigreturn(2) is the larger half of the cost of a hit, and all but three of the things that it does
// can be done here. This way out does not restore the signal mask (so the handler must hold no signal back),
// does not restore the alternate stack (an SS_AUTODISARM one stays disarmed, H75), and does not deliver
// signals that wait. Trade-off: other signals land inside the handler, and their handlers see its PC.
#pragma once

#include "harness/base/address.h"

#include <csignal>

namespace proberace {

// To be installed with SA_SIGINFO | SA_NODEFER, an empty mask and without SA_ONSTACK. Calls
// proberace_handle_for_iretq. The thread continues with the registers of its context. NT may be set in its flags.
extern "C" void proberace_on_sigtrap_iretq(int signo, siginfo_t* info, void* context);

// True if the thread leaves by iretq; else the kernel takes it back. signal-safe.
extern "C" bool proberace_handle_for_iretq(int signo, siginfo_t* info, void* context);

// A thread that another signal has interrupted in the handler sleeps, perhaps, in that signal's handler, before it has
// begun its passage or after its end. True in the handler's own code.
bool runs_iretq_handler(Address pc) noexcept;
// The address to which proberace_handle_for_iretq returns. It lies on the thread's stack during the call, not later.
Address iretq_handler_return() noexcept;

} // namespace proberace
