// Facts about another process' threads, read from /proc (proc(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <sys/types.h>
#include <vector>

namespace proberace {

// A thread created meanwhile may be missing.
std::vector<pid_t> threads_of(pid_t process);
// One of them that has not ended, through which /proc shows the process: its first thread may have ended before
// others. The process if there is none.
pid_t live_thread_of(pid_t process);
// The process a thread belongs to.
std::optional<pid_t> process_of(pid_t thread);
// 0 if it has none.
pid_t tracer_of(pid_t thread);
// A thread that has ended but is still listed counts as ended.
bool has_ended(pid_t thread);
// True if a seccomp filter that does not judge this process, too, or strict mode judges its system calls. A
// container's filter judges both.
bool is_filtered(pid_t thread);
// The signals that the thread's process ignores; bit n-1 is signal n.
std::uint64_t ignored_signals(pid_t thread);
// True if a SIGTRAP waits for this thread alone: it has executed an int3, or a step, and has not stopped for
// it yet.
bool trap_is_pending(pid_t thread);
// The system call in which it is blocked; -1 if it runs, or is in none.
long blocked_in(pid_t thread);

} // namespace proberace
