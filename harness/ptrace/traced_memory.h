// The memory of a traced process past its page permissions, through /proc/PID/mem.
//
// The file stays bound to the memory on which it was opened (fs/proc/base.c, mem_open), so it is opened again
// after an exec: a probe's byte never lands in an image for which it was not meant.
#pragma once

#include "harness/base/address_space.h"
#include "harness/base/error.h"

#include <span>
#include <sys/types.h>

namespace proberace {

// All files are opened at once: if the process makes itself undumpable, only root can open them after that.
class TracedMemory {
public:
  TracedMemory() = default;
  TracedMemory(const TracedMemory&) = delete;
  TracedMemory& operator=(const TracedMemory&) = delete;
  ~TracedMemory() { close(); }

  // Precondition: this process traces `process`, or may. Its first thread may have ended.
  Status open(pid_t process);
  void close() noexcept;

  // 0, or an errno. Bytes within one page are written by one copy; copy-on-write is broken first.
  int write(Address to, std::span<const std::uint8_t> bytes) const noexcept;
  // False if a byte is not there.
  bool read(Address from, std::span<std::uint8_t> out) const noexcept;
  bool byte_is(Address at, std::uint8_t wanted) const noexcept {
    std::uint8_t byte = 0;
    return read(at, {&byte, 1}) && byte == wanted;
  }

  // The mappings now; empty if they may not be looked at.
  AddressSpace space() const;
  // Of /proc/PID/pagemap. False if there is none.
  bool page_entry(Address page, std::uint64_t& entry) const noexcept;

private:
  int pages_ = -1;
  int maps_ = -1;
  pid_t process_ = 0;
  int file_ = -1;
};

} // namespace proberace
