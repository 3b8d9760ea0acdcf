// The contents of a hit log: one record of fixed size for each event, in the order in which its thread saw
// it, and the blocks in which records lie on disk.
//
// The file: a header of kHeaderBytes (JSON, padded with spaces), blocks of kBlockBytes each of one thread,
// and, when it was closed, a trailer of kHeaderBytes (JSON). Everything is in the machine's byte order.
#pragma once

#include "harness/base/enumeration.h"

#include <cstddef>
#include <cstdint>

namespace proberace {

enum class RecordKind : std::uint8_t {
  Blank,    // nothing was written here
  Begin,    // an execution of `site` begins; `state` is its state word before
  Hit,      // of `site`, by the execution `ticket`
  End,      // an execution ends; `state` is the site's state word after
  Operated, // an insertion or removal of `site` ended, whether it succeeded or not; `state` is the word after
  Lost,     // `state` records of this thread found no room and are missing here
};

inline constexpr auto kRecordKinds = enumeration<Named<RecordKind>>({
    {RecordKind::Blank, "blank"},
    {RecordKind::Begin, "begin"},
    {RecordKind::Hit, "hit"},
    {RecordKind::End, "end"},
    {RecordKind::Operated, "operated"},
    {RecordKind::Lost, "lost"},
});
constexpr const auto& rows_of(RecordKind) noexcept {
  return kRecordKinds;
}

struct HitRecord {
  std::uint64_t time = 0;   // time-stamp counter, in its ticks
  std::uint64_t state = 0;  // SiteState's word, where the kind has one
  std::uint32_t serial = 0; // of the thread, from 0: what is missing shows as a gap
  std::uint32_t ticket = 0; // of the execution, its low 32 bits
  std::uint32_t site = 0;   // index
  RecordKind kind = RecordKind::Blank;
  std::uint8_t unused[3]{};
  bool operator==(const HitRecord&) const = default;
};
static_assert(sizeof(HitRecord) == 32);

struct BlockHeader {
  static constexpr std::uint64_t kMagic = 0x4b4c42474f4c5250; // "PRLOGBLK"

  std::uint64_t magic = kMagic;
  std::uint64_t first = 0; // the first record's serial, all 64 bits of it
  std::uint32_t thread = 0;
  std::uint32_t count = 0; // records that are filled
  std::uint64_t unused = 0;
};
static_assert(sizeof(BlockHeader) == sizeof(HitRecord));

inline constexpr std::size_t kBlockRecords = 4095;
inline constexpr std::size_t kHeaderBytes = 4096;

struct LogBlock {
  BlockHeader header;
  HitRecord records[kBlockRecords];
};
inline constexpr std::size_t kBlockBytes = sizeof(LogBlock);
static_assert(kBlockBytes == 128 * 1024);

} // namespace proberace
