// Access to the target's memory that asks the kernel first: a fault inside the SIGTRAP handler would be
// reported there, or kill the process because the handler holds signals back; it belongs to the site (H32).
//
// Idea: the kernel answers without side effects, and no SIGSEGV handler of ours is needed. rt_sigprocmask
// with an invalid `how` copies its argument from user space before it looks at `how` (kernel/signal.c), and
// MADV_POPULATE_WRITE breaks copy-on-write and faults pages in just as a store would (mm/madvise.c, Linux
// 5.14). Trade-off: an operand costs one system call, and memory that another thread unmaps between the
// question and the access still ends the process. Device memory (VM_PFNMAP) counts as not writable.
#pragma once

#include "harness/probe/trap_context.h"

namespace proberace {

// signal-safe. False if the calling thread may not read (write) every byte; `fault` is then what the hardware
// would have reported. Precondition: bytes > 0.
bool readable(Address at, std::size_t bytes, HardwareFault& fault) noexcept;
bool writable(Address at, std::size_t bytes, HardwareFault& fault) noexcept;

// signal-safe. True if one of the two addresses lies where no user page can be; `fault` is then what the
// hardware would have reported for the first one that does. The kernel's half of the address space is a page
// fault like any other; an address that is not canonical is #GP, which the kernel reports without an address
// (arch/x86/mm/fault.c, arch/x86/kernel/traps.c).
bool outside_user_half(Address at, Address last, HardwareFault& fault) noexcept;

// signal-safe. Copies memory that may be touched. Sizes that the hardware has take one access, so that other
// threads never see them torn.
void copy_whole(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) noexcept;

// signal-safe. Queues the signal of a fault for the calling thread, as the hardware would have reported it.
// It is delivered when signals are let in. A thread may queue itself any si_code (kernel/signal.c,
// do_rt_tgsigqueueinfo).
void queue_fault(const HardwareFault& fault) noexcept;

} // namespace proberace
