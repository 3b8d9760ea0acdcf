#include "harness/cell/crash_recorder.h"

#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/signal_action.h"
#include "harness/base/threads.h"

#include <sys/syscall.h>
#include <ucontext.h>

namespace proberace {

namespace {

Arena* the_arena = nullptr;

// signal-safe.
void record(int signo, siginfo_t* info, void* raw_context) {
  const auto& context = *static_cast<ucontext_t*>(raw_context);
  CrashNote& note = the_arena->crash;
  if (!note.valid.exchange(true, std::memory_order_acq_rel)) { // the first of several threads writes
    note.signal = signo;
    note.code = info->si_code;
    note.pc = Address{static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RIP])};
    note.fault_address = address_of(info->si_addr);
    note.thread = current_thread();
    note.bytes_readable = read_memory(note.pc - CrashNote::kBytesBefore, note.bytes);
  }
  restore_signal_action(signo, SignalAction{}); // the default: die
  raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), current_thread(), signo);
}

} // namespace

void install_crash_recorder(Arena& arena) {
  the_arena = &arena;
  for (const int signo : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP})
    (void)install_signal_action(signo, &record, 0, kAllSignals);
}

} // namespace proberace
