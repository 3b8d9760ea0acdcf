#include "stress/code/elf_text.h"

#include "harness/code/elf_functions.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

struct File {
  int descriptor = -1;
  explicit File(const std::string& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

std::unexpected<Error> bad(const std::string& path, const char* why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, why)});
}

std::uint64_t page_down(std::uint64_t a) {
  return a & ~std::uint64_t{kPageBytes - 1};
}

} // namespace

std::expected<ElfText, Error> ElfText::map(const std::string& path) {
  const File file(path);
  if (file.descriptor < 0)
    return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, ::strerror(errno))});
  const auto image = read_elf_functions(path);
  if (!image)
    return std::unexpected(image.error());
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  for (const ElfSegment& s : image->segments) {
    low = std::min(low, page_down(s.address));
    high = std::max(high, page_down(s.address + s.memory_bytes + kPageBytes - 1));
  }
  void* const reserved =
      high > low ? ::mmap(nullptr, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
  if (reserved == MAP_FAILED)
    return bad(path, "there is no room for its segments");
  ElfText self;
  self.start_ = address_of(reserved);
  self.bytes_ = high - low;
  for (const ElfSegment& s : image->segments) {
    const Address at = self.start_ + static_cast<std::ptrdiff_t>(page_down(s.address) - low);
    const std::size_t bytes = s.file_bytes + (s.address - page_down(s.address));
    if (s.file_bytes == 0)
      continue;
    if (::mmap(bytes_at(at), bytes, s.protection, MAP_PRIVATE | MAP_FIXED, file.descriptor,
               static_cast<off_t>(page_down(s.file_offset))) == MAP_FAILED)
      return bad(path, "a segment of it cannot be mapped");
    if ((s.protection & PROT_EXEC) != 0 && self.text_ == Address{})
      self.text_ = at;
  }
  if (self.text_ == Address{})
    return bad(path, "has no executable segment");
  return self;
}

ElfText::ElfText(ElfText&& other) noexcept
    : start_(std::exchange(other.start_, {})), bytes_(std::exchange(other.bytes_, 0)), text_(other.text_) {}

ElfText::~ElfText() {
  if (bytes_ != 0)
    ::munmap(bytes_at(start_), bytes_);
}

} // namespace proberace
