#include "harness/base/threads.h"

#include "harness/base/raw_syscall.h"

#include <cstdlib>
#include <dirent.h>
#include <sys/syscall.h>

namespace proberace {

pid_t current_thread() noexcept {
  return static_cast<pid_t>(raw_syscall(SYS_gettid));
}

bool thread_alive(pid_t thread) noexcept {
  return raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), thread, 0) == 0;
}

std::vector<pid_t> threads_of_this_process() {
  std::vector<pid_t> threads;
  DIR* const directory = ::opendir("/proc/self/task");
  if (directory == nullptr)
    return threads;
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] != '.')
      threads.push_back(static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)));
  ::closedir(directory);
  return threads;
}

} // namespace proberace
