#include "harness/base/process_memory.h"

#include "harness/base/raw_syscall.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace proberace {

bool read_memory(Address from, std::span<std::uint8_t> out) noexcept {
  return read_memory_of(static_cast<pid_t>(raw_syscall(SYS_getpid)), from, out);
}

bool read_memory_of(pid_t process, Address from, std::span<std::uint8_t> out) noexcept {
  iovec local{out.data(), out.size()};
  iovec remote{bytes_at(from), out.size()};
  return raw_syscall(SYS_process_vm_readv, process, &local, 1, &remote, 1, 0) ==
         static_cast<long>(out.size());
}

bool read_code(Address from, std::span<std::uint8_t> out) noexcept {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const long n = raw_syscall(SYS_pread64, fd, out.data(), out.size(), static_cast<long>(value(from)));
  raw_syscall(SYS_close, fd);
  return n == static_cast<long>(out.size());
}

int write_code(Address to, std::span<const std::uint8_t> bytes) noexcept {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return static_cast<int>(-fd);
  const long n = raw_syscall(SYS_pwrite64, fd, bytes.data(), bytes.size(), static_cast<long>(value(to)));
  raw_syscall(SYS_close, fd);
  if (n < 0)
    return static_cast<int>(-n);
  return n == static_cast<long>(bytes.size()) ? 0 : EIO;
}

} // namespace proberace
