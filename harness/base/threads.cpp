#include "harness/base/threads.h"

#include "harness/base/raw_syscall.h"

#include <array>
#include <cstdint>
#include <fcntl.h>
#include <sys/syscall.h>

namespace proberace {

pid_t current_thread() noexcept {
  return static_cast<pid_t>(raw_syscall(SYS_gettid));
}

bool thread_alive(pid_t thread) noexcept {
  return raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), thread, 0) == 0;
}

bool for_each_thread(void (*f)(pid_t thread, void* argument), void* argument) noexcept {
  struct Entry { // getdents64(2), linux_dirent64
    std::uint64_t inode;
    std::int64_t next;
    std::uint16_t bytes;
    std::uint8_t type;
    char name[1];
  };
  const auto directory = static_cast<int>(
      raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory < 0)
    return false;
  alignas(Entry) std::array<char, 4096> buffer;
  long filled = 0;
  while ((filled = raw_syscall(SYS_getdents64, directory, buffer.data(), buffer.size())) > 0)
    for (long at = 0; at < filled;) {
      const auto* const entry = reinterpret_cast<const Entry*>(buffer.data() + at);
      pid_t thread = 0;
      for (const char* digit = entry->name; *digit >= '0' && *digit <= '9'; ++digit)
        thread = 10 * thread + (*digit - '0');
      if (thread != 0)
        f(thread, argument);
      at += entry->bytes;
    }
  raw_syscall(SYS_close, directory);
  return filled == 0;
}

std::vector<pid_t> threads_of_this_process() {
  std::vector<pid_t> threads;
  const auto add = [](pid_t thread, void* all) { static_cast<std::vector<pid_t>*>(all)->push_back(thread); };
  if (!for_each_thread(add, &threads))
    threads.clear();
  return threads;
}

} // namespace proberace
