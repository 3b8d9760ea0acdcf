// The code a site's jump leads to: count, do what the displaced instruction did, go back.
//
//   lea  -128(%rsp),%rsp     below the red zone (H33)
//   push %rax; push %rcx; lahf; seto %al     status flags, without the slow popf (SDM vol. 2, LAHF, SETcc)
//   mov  %fs:session,%ecx; cmp mode(%rip),%ecx; jne slow
//   mov  %fs:record,%rcx; addq $1,hits+8*index(%rcx)
//   add  $0x7f,%al; sahf; pop %rcx; pop %rax; lea 128(%rsp),%rsp
//   <the displaced instruction, with its way back>
//
// The mode word is the session's number (thread_record.h, ThreadWords) where hits are only counted, and
// kCallHandler where a hit handler is set; a thread without a record has another session's: both go the slow
// way (trampoline_entry.cpp). Nothing but
// status flags is written, so DF, AC, NT and TF stay, and no vector state is touched.
#pragma once

#include "strategies/whole/jump_site.h"
#include "strategies/whole/trampoline_space.h"

namespace proberace {

inline constexpr std::uint32_t kCallHandler = ~std::uint32_t{0};

// Reserves and fills the site's trampoline; sets its `trampoline` and `displaced`. The site's address must
// not change afterwards.
Status build_trampoline(TrampolineSpace& space, JumpSite& site);

// jmp to `target` for execution at `at`: 5 bytes where that reaches, else 14.
std::vector<std::uint8_t> jump_code(Address at, Address target);

// The slow way: rcx holds the JumpSite, the stack rcx, rax and 128 bytes of red zone, ax the flags.
extern "C" void proberace_trampoline_slow();

// Reads how large XSAVE's area is here. Precondition of any hit.
Status prepare_slow_path();

} // namespace proberace
