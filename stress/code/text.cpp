#include "stress/code/text.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {
constexpr std::size_t kSpacing = 64;

// A place in the file that no earlier text had. Linux 6.18 can keep a uprobe that was closed, under the
// address of its inode and its place in the file; a new file that gets the same inode has it too, and takes
// its instruction for its own (results/findings/stale-uprobe.md).
off_t fresh_place() {
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    return 0;
  constexpr std::uint32_t kPlaces = 1U << 20; // a file without the pages before it: 4 GiB at most, none used
  return static_cast<off_t>(random % kPlaces) * static_cast<off_t>(kPageBytes);
}
} // namespace

std::expected<Text, Error> Text::of_bytes(std::span<const std::uint8_t> code, TextMemory memory_kind,
                                          Address at) {
  const std::size_t bytes = (code.size() + kPageBytes - 1) & ~(kPageBytes - 1);
  const int file = ::memfd_create("proberace-text", MFD_CLOEXEC);
  if (file < 0)
    return std::unexpected(system_error("memfd_create", errno));
  const off_t place = fresh_place();
  void* memory = MAP_FAILED;
  const int sharing = memory_kind == TextMemory::SharedMemory ? MAP_SHARED : MAP_PRIVATE;
  if (::ftruncate(file, place + static_cast<off_t>(bytes)) == 0 &&
      ::pwrite(file, code.data(), code.size(), place) == static_cast<ssize_t>(code.size()))
    memory = ::mmap(bytes_at(at), bytes, PROT_READ | PROT_EXEC, sharing | (at != Address{} ? MAP_FIXED : 0),
                    file, place);
  Text text;
  text.file_ = file;
  if (memory == MAP_FAILED)
    return std::unexpected(system_error("cannot map generated text", errno));
  text.start_ = address_of(memory);
  text.bytes_ = bytes;
  text.place_ = place;
  text.sharing_ = sharing;
  return text;
}

Status Text::map_again() const {
  if (::mmap(bytes_at(start_), bytes_, PROT_READ | PROT_EXEC, sharing_ | MAP_FIXED, file_, place_) ==
      MAP_FAILED)
    return std::unexpected(system_error("cannot map generated text again", errno));
  return {};
}

std::expected<Text, Error> Text::make(std::span<const Placement> placements, TextMemory memory) {
  std::size_t pages = 0;
  for (const Placement& p : placements)
    pages = std::max(pages, p.page + 1);
  std::vector<std::uint8_t> code(pages * kPageBytes, kInt3); // a stray jump stops at once
  std::vector<std::size_t> used(pages, 0);
  std::vector<std::size_t> offsets;
  for (const Placement& p : placements) {
    const std::size_t at = p.page * kPageBytes + used[p.page];
    used[p.page] += (p.body->bytes() + kSpacing - 1) & ~(kSpacing - 1);
    if (used[p.page] > kPageBytes)
      return std::unexpected(
          Error{ErrorKind::BadInput, {}, fmt::format("too many bodies for page {}", p.page)});
    std::copy(p.body->code, p.body->end, code.begin() + static_cast<std::ptrdiff_t>(at));
    offsets.push_back(at);
  }
  auto text = of_bytes(code, memory);
  if (!text)
    return text;
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const Body* body = placements[i].body;
    const Address entry = text->start_ + static_cast<std::ptrdiff_t>(offsets[i]);
    text->bodies_.push_back({body, entry, entry + static_cast<std::ptrdiff_t>(body->site_offset())});
  }
  return text;
}

Text::Text(Text&& other) noexcept
    : start_(std::exchange(other.start_, Address{})), bytes_(std::exchange(other.bytes_, 0)),
      bodies_(std::move(other.bodies_)), file_(std::exchange(other.file_, -1)), place_(other.place_),
      sharing_(other.sharing_) {}

Text::~Text() {
  if (bytes_ != 0)
    ::munmap(bytes_at(start_), bytes_);
  if (file_ >= 0)
    ::close(file_);
}

void Text::declare(Target& target) const {
  for (const PlacedBody& b : bodies_)
    target.add_function(b.entry, b.body->bytes(), std::string(b.body->name()));
}

} // namespace proberace
