#include "harness/ptrace/traced_memory.h"

#include "harness/ptrace/proc_status.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace proberace {

Status TracedMemory::open(pid_t process) {
  close();
  process_ = process;
  const pid_t thread = live_thread_of(process);
  file_ = ::open(fmt::format("/proc/{}/mem", thread).c_str(), O_RDWR | O_CLOEXEC);
  if (file_ < 0)
    return std::unexpected(system_error(fmt::format("cannot open the memory of process {}", process), errno));
  // It can be read as long as the thread has not been reaped: the first one stays until the process ends.
  maps_ = ::open(fmt::format("/proc/{}/maps", process).c_str(), O_RDONLY | O_CLOEXEC);
  pages_ = ::open(fmt::format("/proc/{}/pagemap", thread).c_str(), O_RDONLY | O_CLOEXEC);
  return {};
}

AddressSpace TracedMemory::space() const {
  AddressSpace space = AddressSpace::from(maps_);
  return space.mappings().empty() ? AddressSpace::read(live_thread_of(process_)) : space;
}

void TracedMemory::close() noexcept {
  if (file_ >= 0)
    ::close(file_);
  if (pages_ >= 0)
    ::close(pages_);
  if (maps_ >= 0)
    ::close(maps_);
  file_ = pages_ = maps_ = -1;
}

bool TracedMemory::page_entry(Address page, std::uint64_t& entry) const noexcept {
  return ::pread(pages_, &entry, sizeof entry, static_cast<off_t>(value(page) / kPageBytes * sizeof entry)) ==
         sizeof entry;
}

int TracedMemory::write(Address to, std::span<const std::uint8_t> bytes) const noexcept {
  const ssize_t n = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(value(to)));
  if (n < 0)
    return errno;
  return n == static_cast<ssize_t>(bytes.size()) ? 0 : EIO;
}

bool TracedMemory::read(Address from, std::span<std::uint8_t> out) const noexcept {
  return ::pread(file_, out.data(), out.size(), static_cast<off_t>(value(from))) ==
         static_cast<ssize_t>(out.size());
}

} // namespace proberace
