// A new file that is written without waiting: by io_uring, several writes in flight, from registered memory;
// where io_uring is not to be had (a container's seccomp filter, kernel.io_uring_disabled), by pwrite(2).
#pragma once

#include "harness/base/enumeration.h"
#include "harness/base/error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace proberace {

struct AsyncFileOptions {
  unsigned depth = 4; // writes in flight at the most
  bool use_io_uring = true;
  // The memory that is written from, if it is one piece: the kernel then looks it up once and not at each
  // write. Where RLIMIT_MEMLOCK forbids that, it does so at each write.
  std::span<const std::byte> memory{};
};

// For one thread. The first error is kept and reported by close; nothing is dropped silently.
class AsyncFile {
public:
  // Creates the file; it must not exist.
  static std::expected<AsyncFile, Error> create(const std::string& path, const AsyncFileOptions& options);
  AsyncFile(AsyncFile&&) noexcept;
  AsyncFile& operator=(AsyncFile&&) = delete;
  ~AsyncFile(); // closes

  bool may_write() const noexcept; // fewer than `depth` in flight
  // Starts a write. `bytes` stay as they are until `token` was given back. Precondition: may_write().
  void write(std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t token);

  enum class Wait { No, Yes };
  // The token of a write that has ended; nothing if none has (or none is in flight).
  std::optional<std::uint64_t> ended(Wait wait);

  // Waits for all writes and until they are on disk. The first error since create, if any.
  Status close();

  enum class Way { IoUring, IoUringUnregistered, Write };
  Way way() const noexcept;

private:
  struct State;
  explicit AsyncFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

inline constexpr auto kWaysToWrite = enumeration<Named<AsyncFile::Way>>({
    {AsyncFile::Way::IoUring, "io_uring, registered"},
    {AsyncFile::Way::IoUringUnregistered, "io_uring"},
    {AsyncFile::Way::Write, "write(2)"},
});
constexpr const auto& rows_of(AsyncFile::Way) noexcept {
  return kWaysToWrite;
}

} // namespace proberace
