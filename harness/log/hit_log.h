// Every hit and every execution, on disk, without holding up the threads that execute: they fill rings of
// their own (record_ring.h), and one thread empties the rings through io_uring.
//
// Trade-off: records in a ring are not on disk yet. A block is written when it is full, and a partly filled
// one every kFlush, so that a process that dies loses at most kFlush of records; a log that was not closed
// has no trailer.
#pragma once

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/file/async_file.h"
#include "harness/log/record_ring.h"

#include <chrono>
#include <memory>
#include <string>

namespace proberace {

struct HitLogOptions {
  static constexpr std::size_t kMostThreads = 100; // what the trailer has room for

  std::size_t threads = 1;            // rings there are to join
  std::size_t blocks_per_thread = 16; // of kBlockBytes; a power of two
  WhenFull when_full = WhenFull::Wait;
  bool use_io_uring = true;
  Json about = Json::object(); // for the header: what is logged; less than 4 KiB as text
};

struct HitLogTotals {
  std::uint64_t records = 0; // on disk
  std::uint64_t lost = 0;    // dropped for want of room; each told of in the log
  std::uint64_t bytes = 0;
  AsyncFile::Way way = AsyncFile::Way::Write;
};

class HitLog {
public:
  static constexpr std::chrono::milliseconds kFlush{100};

  // Creates the file, which must not exist, and starts the thread that writes. BadInput, System.
  static std::expected<std::unique_ptr<HitLog>, Error> create(const std::string& path, HitLogOptions options);
  HitLog(const HitLog&) = delete;
  HitLog& operator=(const HitLog&) = delete;
  ~HitLog(); // closes

  // Thread-safe. A ring for the calling thread, valid as long as the log; null when all were given out.
  RecordRing* join() noexcept;

  // Precondition: nobody appends any more. Writes what is left and the trailer, waits for the disk.
  std::expected<HitLogTotals, Error> close();

private:
  struct State;
  explicit HitLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

} // namespace proberace
