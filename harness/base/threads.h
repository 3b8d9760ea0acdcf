// The threads of this process, as the kernel lists them.
#pragma once

#include <sys/types.h>
#include <vector>

namespace proberace {

// signal-safe.
pid_t current_thread() noexcept;
// signal-safe. False for a thread of this process that has ended.
bool thread_alive(pid_t thread) noexcept;
// signal-safe; allocates nothing. Calls f(thread, argument) for each thread of this process. False if they cannot be
// listed. A thread created meanwhile may be missing.
bool for_each_thread(void (*f)(pid_t thread, void* argument), void* argument) noexcept;
// All threads of this process; empty if they cannot be listed. A thread created meanwhile may be missing.
std::vector<pid_t> threads_of_this_process();

} // namespace proberace
