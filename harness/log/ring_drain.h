// Writes the records of rings to a file, block by block. For one thread.
#pragma once

#include "harness/file/async_file.h"
#include "harness/log/record_ring.h"

#include <optional>
#include <vector>

namespace proberace {

class RingDrain {
public:
  // Blocks go to the file from `offset` on. Both outlive this.
  RingDrain(std::span<RecordRing* const> rings, AsyncFile& file, std::uint64_t offset);

  // Starts writes of full blocks and takes note of those that have ended. True if there was anything to do.
  bool step();
  // Starts writes of blocks that are not full yet, if they hold more records than the last time.
  void flush();
  // Precondition: nobody appends any more. Writes all and waits.
  void finish();

  std::uint64_t end() const noexcept { return next_offset_; } // of the last block in the file, in bytes
  std::uint64_t records() const noexcept;

private:
  // A ring's block that is being filled has its place in the file as soon as a part of it is written.
  struct Ring {
    RecordRing* ring;
    std::uint64_t next = 0;              // the block to be written next
    std::uint64_t released = 0;          // blocks below are written
    std::vector<bool> written;           // by block, modulo their number
    std::optional<std::uint64_t> offset; // of `next` in the file, if a part of it is there
    std::uint64_t records = 0;           // of `next` that are there
    bool part_in_flight = false;         // of `next`
  };

  bool write_full(std::size_t index);
  void write(std::size_t index, std::uint64_t count, bool whole);
  bool take_ended(AsyncFile::Wait wait);

  std::vector<Ring> rings_;
  AsyncFile& file_;
  std::uint64_t next_offset_;
};

} // namespace proberace
