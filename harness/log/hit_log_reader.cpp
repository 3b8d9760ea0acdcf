#include "harness/log/hit_log_reader.h"

#include "harness/base/failure.h"
#include "harness/base/json_fields.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

constexpr std::uint32_t kMostThreads = 1 << 16; // a number above it is no thread

Json page_at(std::span<const std::byte> bytes, std::size_t at) {
  const char* const text = reinterpret_cast<const char*>(bytes.data()) + at;
  return Json::parse(text, text + kHeaderBytes, nullptr, false);
}

std::optional<BlockHeader> block_at(std::span<const std::byte> bytes, std::size_t at) {
  BlockHeader header;
  if (at + sizeof header > bytes.size())
    return std::nullopt;
  std::memcpy(&header, bytes.data() + at, sizeof header);
  if (header.magic != BlockHeader::kMagic || header.thread >= kMostThreads || header.count > kBlockRecords)
    return std::nullopt;
  return header;
}

// The beginning of the next block, if it is not where it should be; the end if there is no further one.
std::size_t next_block(std::span<const std::byte> blocks, std::size_t from) {
  const std::uint64_t magic = BlockHeader::kMagic;
  for (std::size_t at = from; at < blocks.size(); ++at) {
    const void* const found = ::memmem(blocks.data() + at, blocks.size() - at, &magic, sizeof magic);
    if (found == nullptr)
      break;
    at = static_cast<std::size_t>(static_cast<const std::byte*>(found) - blocks.data());
    if (block_at(blocks, at))
      return at;
  }
  return blocks.size();
}

} // namespace

HitLogReader::HitLogReader(HitLogReader&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), blocks_(std::move(other.blocks_)),
      trailer_(std::move(other.trailer_)), damage_(std::move(other.damage_)),
      ns_per_tick_(other.ns_per_tick_), first_tick_(other.first_tick_) {}

HitLogReader::~HitLogReader() {
  if (!bytes_.empty())
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::expected<HitLogReader, Error> HitLogReader::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return bad_input("cannot open {}: {}", path, std::strerror(errno));
  struct stat status {};
  void* memory = MAP_FAILED;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      status.st_size >= static_cast<off_t>(kHeaderBytes))
    memory = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  const Error foreign{
      ErrorKind::BadInput, {}, fmt::format("{} is not a hit log of this version (proberace/log/1)", path)};
  if (memory == MAP_FAILED)
    return std::unexpected(foreign);
  HitLogReader reader;
  reader.bytes_ = {static_cast<const std::byte*>(memory), static_cast<std::size_t>(status.st_size)};
  if (!reader.index())
    return std::unexpected(foreign);
  return reader;
}

Status HitLogReader::index() {
  const auto header = read_fields<LogHeader>(page_at(bytes_, 0));
  if (!header)
    return std::unexpected(header.error());
  std::size_t end = bytes_.size();
  if (auto last =
          read_fields<LogTrailer>(end >= 2 * kHeaderBytes ? page_at(bytes_, end - kHeaderBytes) : Json())) {
    trailer_ = std::move(*last);
    end -= kHeaderBytes;
  } else {
    damage_.push_back("the log was not closed: what its writer had in memory is missing");
  }
  for (std::size_t at = kHeaderBytes; at < end;)
    take_block(at, end);
  for (auto& blocks : blocks_) // a thread's blocks lie in their order, unless writes of them failed
    std::ranges::stable_sort(blocks, {}, [](std::span<const std::byte> b) {
      BlockHeader first;
      std::memcpy(&first, b.data() - sizeof first, sizeof first);
      return first.first;
    });
  if (trailer_) {
    blocks_.resize(std::max(blocks_.size(), trailer_->threads.size()));
    first_tick_ = header->clock.ticks;
    ns_per_tick_ = static_cast<double>(trailer_->clock.ns - header->clock.ns) /
                   static_cast<double>(trailer_->clock.ticks - first_tick_);
  }
  return {};
}

void HitLogReader::take_block(std::size_t& at, std::size_t end) {
  const auto blocks = bytes_.first(end);
  const auto header = block_at(blocks, at);
  if (!header) {
    const std::size_t next = next_block(blocks, at + 1);
    damage_.push_back(fmt::format("byte {}: no block begins here; {} bytes are skipped", at, next - at));
    at = next;
    return;
  }
  // If a block is shorter than it should be, the next one begins early, or the file ends.
  const std::size_t begin = at + sizeof(BlockHeader);
  std::size_t next = std::min(at + kBlockBytes, end);
  if (next < end && !block_at(blocks, next))
    next = std::min(next_block(blocks, begin), next);
  const std::size_t records = std::min<std::size_t>(header->count, (next - begin) / sizeof(HitRecord));
  if (next != at + kBlockBytes && (next != end || records != header->count))
    damage_.push_back(fmt::format("byte {}: a block of thread {} is {} bytes too short", at, header->thread,
                                  at + kBlockBytes - next));
  if (blocks_.size() <= header->thread)
    blocks_.resize(header->thread + 1);
  blocks_[header->thread].push_back(bytes_.subspan(begin, records * sizeof(HitRecord)));
  at = next;
}

void HitLogReader::for_each(std::size_t thread, const std::function<void(const HitRecord&)>& f) const {
  for (const std::span<const std::byte> block : blocks_[thread])
    for (std::size_t at = 0; at < block.size(); at += sizeof(HitRecord)) {
      HitRecord record;
      std::memcpy(&record, block.data() + at, sizeof record);
      if (record.kind != RecordKind::Blank) // was never written, or wiped out: a gap in the serials
        f(record);
    }
}

double HitLogReader::nanoseconds(const HitRecord& record) const noexcept {
  return static_cast<double>(record.time - first_tick_) * ns_per_tick_;
}

} // namespace proberace
