// Reading and writing the memory of this process past its page permissions.
//
// Code is written through /proc/self/mem: the kernel breaks copy-on-write first (FOLL_FORCE, mm/gup.c), so
// nothing ever becomes writable and executable and no mapping is added or split. An open /proc/self/mem stays
// bound to the memory it was opened on: after fork it would write to the parent (H27). So it is opened for
// each access, or for each batch (CodeBatch).
#pragma once

#include "harness/base/error.h"

#include <span>
#include <sys/types.h>

namespace proberace {

// signal-safe. False if any byte is not readable (unmapped, PROT_NONE); then out is unspecified.
bool read_memory(Address from, std::span<std::uint8_t> out) noexcept;

// The same of another process, whose tracer this process is or may be.
bool read_memory_of(pid_t process, Address from, std::span<std::uint8_t> out) noexcept;

// signal-safe. The same past page permissions: also what the program has made unreadable for the moment.
bool read_code(Address from, std::span<std::uint8_t> out) noexcept;

// signal-safe. 0, or the errno of the first failing step. Bytes within one page are written by one copy; a
// single byte is written whole. Does not serialise other cores: see membarrier.h.
int write_code(Address to, std::span<const std::uint8_t> bytes) noexcept;

// While one exists, read_code and write_code of the thread that made it share one open file. Not in a signal
// handler. A child forked meanwhile opens its own.
class CodeBatch {
public:
  CodeBatch() noexcept;
  ~CodeBatch();
  CodeBatch(const CodeBatch&) = delete;
  CodeBatch& operator=(const CodeBatch&) = delete;

  // NoPermission or System if the file cannot be opened. Then nothing is known about the code: a read that
  // fails does not mean that a byte is gone.
  Status usable() const;

private:
  const bool outermost_; // it opened the file, and closes it
};

} // namespace proberace
