#include "harness/base/process_memory.h"

#include "harness/base/raw_syscall.h"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace proberace {

namespace {

long open_code() noexcept {
  return raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC);
}

// The number of the process whose memory this is: the kernel wipes the page in a forked child (madvise(2),
// MADV_WIPEONFORK), so that asking costs no system call in between.
class ThisProcess {
public:
  ThisProcess() noexcept : wiped_(::madvise(page_, sizeof page_, MADV_WIPEONFORK) == 0) {}

  // signal-safe. In a child that shares its parent's memory (vfork): the number of the one that asked first.
  long number() noexcept {
    if (!wiped_)
      return raw_syscall(SYS_getpid);
    std::atomic_ref known(page_[0]);
    if (known.load(std::memory_order_relaxed) == 0) // nothing else is published by it
      known.store(raw_syscall(SYS_getpid), std::memory_order_relaxed);
    return known.load(std::memory_order_relaxed);
  }

private:
  alignas(kPageBytes) long page_[kPageBytes / sizeof(long)]{}; // no other data's page
  alignas(kPageBytes) const bool wiped_;
};
ThisProcess g_this_process;

struct Batch {
  long file = -1;
  long process = 0;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local Batch t_batch;

// This thread's batch's file, or one of its own.
struct CodeFile {
  const bool shared = t_batch.file >= 0 && t_batch.process == g_this_process.number();
  const long descriptor = shared ? t_batch.file : open_code(); // negative: -errno
  ~CodeFile() {
    if (!shared && descriptor >= 0)
      raw_syscall(SYS_close, descriptor);
  }
};

} // namespace

bool read_memory(Address from, std::span<std::uint8_t> out) noexcept {
  return read_memory_of(static_cast<pid_t>(raw_syscall(SYS_getpid)), from, out);
}

bool read_memory_of(pid_t process, Address from, std::span<std::uint8_t> out) noexcept {
  iovec local{out.data(), out.size()};
  iovec remote{bytes_at(from), out.size()};
  return raw_syscall(SYS_process_vm_readv, process, &local, 1, &remote, 1, 0) ==
         static_cast<long>(out.size());
}

CodeBatch::CodeBatch() noexcept : outermost_(t_batch.file < 0) {
  if (!outermost_)
    return;
  t_batch.process = g_this_process.number();
  t_batch.file = open_code();
}

CodeBatch::~CodeBatch() {
  if (!outermost_)
    return;
  const long file = t_batch.file;
  t_batch.file = -1; // before it is closed: a handler may interrupt here
  if (file >= 0)
    raw_syscall(SYS_close, file);
}

Status CodeBatch::usable() const {
  if (t_batch.file >= 0)
    return {};
  return std::unexpected(system_error("cannot open /proc/self/mem, which code is read and written through",
                                      -static_cast<int>(t_batch.file)));
}

bool read_code(Address from, std::span<std::uint8_t> out) noexcept {
  const CodeFile file;
  return file.descriptor >= 0 && raw_syscall(SYS_pread64, file.descriptor, out.data(), out.size(),
                                             static_cast<long>(value(from))) == static_cast<long>(out.size());
}

int write_code(Address to, std::span<const std::uint8_t> bytes) noexcept {
  const CodeFile file;
  if (file.descriptor < 0)
    return static_cast<int>(-file.descriptor);
  const long n =
      raw_syscall(SYS_pwrite64, file.descriptor, bytes.data(), bytes.size(), static_cast<long>(value(to)));
  if (n < 0)
    return static_cast<int>(-n);
  return n == static_cast<long>(bytes.size()) ? 0 : EIO;
}

} // namespace proberace
