#include "harness/log/ring_drain.h"

#include <algorithm>

namespace proberace {

namespace {

// Identifies a write: the ring, and if it was a whole block or a part.
constexpr std::uint64_t token_of(std::size_t ring, std::uint64_t block, bool whole) {
  return block << 17 | std::uint64_t{ring} << 1 | (whole ? 1 : 0);
}

} // namespace

RingDrain::RingDrain(std::span<RecordRing* const> rings, AsyncFile& file, std::uint64_t offset)
    : file_(file), next_offset_(offset) {
  for (RecordRing* const ring : rings) {
    rings_.push_back(Ring{.ring = ring, .written = {}, .offset = {}});
    rings_.back().written.resize(ring->blocks());
  }
}

void RingDrain::write(std::size_t index, std::uint64_t count, bool whole) {
  Ring& r = rings_[index];
  LogBlock& block = r.ring->block(r.next);
  block.header = {.first = r.next * kBlockRecords,
                  .thread = r.ring->thread(),
                  .count = static_cast<std::uint32_t>(count)};
  if (!r.offset) {
    r.offset = next_offset_;
    next_offset_ += kBlockBytes;
  }
  // Of a part, only the filled records: the thread continues to write behind them.
  const std::size_t bytes = whole ? kBlockBytes : sizeof(BlockHeader) + count * sizeof(HitRecord);
  file_.write(std::as_bytes(std::span(&block, 1)).first(bytes), *r.offset, token_of(index, r.next, whole));
  r.records = count;
  r.part_in_flight = !whole;
}

bool RingDrain::write_full(std::size_t index) {
  Ring& r = rings_[index];
  // While a part is being written its header must not change.
  if (r.part_in_flight || !file_.may_write() || r.ring->filled() < (r.next + 1) * kBlockRecords)
    return false;
  write(index, kBlockRecords, true);
  ++r.next;
  r.offset.reset();
  r.records = 0;
  return true;
}

bool RingDrain::take_ended(AsyncFile::Wait wait) {
  const auto token = file_.ended(wait);
  if (!token)
    return false;
  Ring& r = rings_[*token >> 1 & 0xFFFF];
  if ((*token & 1) == 0) {
    r.part_in_flight = false;
    return true;
  }
  const std::size_t blocks = r.ring->blocks();
  r.written[(*token >> 17) % blocks] = true;
  for (; r.written[r.released % blocks]; ++r.released) // they end in any order, and are given back in theirs
    r.written[r.released % blocks] = false;
  r.ring->release(r.released);
  return true;
}

bool RingDrain::step() {
  bool busy = false;
  while (take_ended(AsyncFile::Wait::No))
    busy = true;
  for (std::size_t i = 0; i < rings_.size(); ++i)
    while (write_full(i))
      busy = true;
  return busy;
}

void RingDrain::flush() {
  for (std::size_t i = 0; i < rings_.size(); ++i) {
    Ring& r = rings_[i];
    const std::uint64_t filled = r.ring->filled();
    const std::uint64_t begin = r.next * kBlockRecords;
    const std::uint64_t count = std::min<std::uint64_t>(filled - std::min(filled, begin), kBlockRecords);
    if (count > r.records && !r.part_in_flight && file_.may_write())
      write(i, count, false);
  }
}

void RingDrain::finish() {
  const auto left = [this] {
    return std::ranges::any_of(
        rings_, [](const Ring& r) { return r.ring->filled() > r.next * kBlockRecords + r.records; });
  };
  while (left()) {
    step();
    flush();
    take_ended(AsyncFile::Wait::Yes);
  }
  while (take_ended(AsyncFile::Wait::Yes)) {
  }
}

std::uint64_t RingDrain::records() const noexcept {
  std::uint64_t n = 0;
  for (const Ring& r : rings_)
    n += r.next * kBlockRecords + r.records;
  return n;
}

} // namespace proberace
