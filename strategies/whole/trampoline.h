// The code to which a site's jump leads: it counts, has the effect of the displaced instruction, and jumps
// back.
//
//   lea  -128(%rsp),%rsp     below the red zone (H33)
//   push %rax; push %rcx; lahf; seto %al     status flags, without the slow popf (SDM vol. 2, LAHF, SETcc)
//   mov  %fs:session,%ecx; cmp mode(%rip),%ecx; jne slow
//   mov  %fs:record,%rcx; addq $1,hits+8*index(%rcx)
//   add  $0x7f,%al; sahf; pop %rcx; pop %rax; lea 128(%rsp),%rsp
//   <the displaced instruction, with its way back>
//
// The mode word is the session's number (thread_record.h, ThreadWords) if hits are only counted, and
// kCallHandler if a hit handler is set. A thread without a record has another session's number. In both of
// these cases the thread goes the slow way (trampoline_entry.cpp). Only status flags are written, so DF, AC,
// NT and TF stay, and no vector state is touched.
#pragma once

#include "strategies/whole/jump_site.h"
#include "strategies/whole/trampoline_space.h"

namespace proberace {

inline constexpr std::uint32_t kCallHandler = ~std::uint32_t{0};

// Reserves and fills the site's trampoline; sets its `trampoline` and `displaced`. The JumpSite must not be
// moved afterwards.
Status build_trampoline(TrampolineSpace& space, JumpSite& site);

// A jmp to `target` for execution at `at`: 5 bytes if that reaches, else 14.
std::vector<std::uint8_t> jump_code(Address at, Address target);

// The slow way: rcx holds the JumpSite, the stack rcx, rax and 128 bytes of red zone, ax the flags.
extern "C" void proberace_trampoline_slow();

// True in the slow way's own code.
bool runs_slow_path(Address pc) noexcept;
// The address to which the slow way's call of C++ returns. It lies on a thread's stack while the call is under way:
// signals are let in there, so that a thread may sleep in a handler before it continues in its trampoline.
Address slow_path_return() noexcept;

// Reads how large XSAVE's area is on this processor. Must be called before any hit.
Status prepare_slow_path();

} // namespace proberace
