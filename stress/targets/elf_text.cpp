#include "stress/targets/elf_text.h"

#include <algorithm>
#include <cerrno>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

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

  template <typename T> bool read(T* objects, std::size_t count, std::uint64_t offset) const {
    const auto bytes = static_cast<ssize_t>(count * sizeof(T));
    return ::pread(descriptor, objects, static_cast<std::size_t>(bytes), static_cast<off_t>(offset)) == bytes;
  }
};

std::unexpected<Error> bad(const std::string& path, const char* why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, why)});
}

std::uint64_t page_down(std::uint64_t a) {
  return a & ~std::uint64_t{kPageBytes - 1};
}

int protection(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) | ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

std::expected<std::vector<Elf64_Phdr>, Error> load_segments(const File& file, const std::string& path) {
  Elf64_Ehdr header{};
  if (!file.read(&header, 1, 0) ||
      std::string_view(reinterpret_cast<const char*>(header.e_ident), SELFMAG) != ELFMAG ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
    return bad(path, "is no x86-64 ELF file");
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  if (!file.read(segments.data(), segments.size(), header.e_phoff))
    return bad(path, "its program headers cannot be read");
  std::erase_if(segments, [](const Elf64_Phdr& s) { return s.p_type != PT_LOAD; });
  if (std::ranges::none_of(segments, [](const Elf64_Phdr& s) { return (s.p_flags & PF_X) != 0; }))
    return bad(path, "has no executable segment");
  return segments;
}

} // namespace

std::expected<ElfText, Error> ElfText::map(const std::string& path) {
  const File file(path);
  if (file.descriptor < 0)
    return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, ::strerror(errno))});
  const auto segments = load_segments(file, path);
  if (!segments)
    return std::unexpected(segments.error());
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  for (const Elf64_Phdr& s : *segments) {
    low = std::min(low, page_down(s.p_vaddr));
    high = std::max(high, page_down(s.p_vaddr + s.p_memsz + kPageBytes - 1));
  }
  void* const reserved =
      high > low ? ::mmap(nullptr, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
  if (reserved == MAP_FAILED)
    return bad(path, "there is no room for its segments");
  ElfText self;
  self.start_ = address_of(reserved);
  self.bytes_ = high - low;
  for (const Elf64_Phdr& s : *segments) {
    const Address at = self.start_ + static_cast<std::ptrdiff_t>(page_down(s.p_vaddr) - low);
    const std::size_t bytes = s.p_filesz + (s.p_vaddr - page_down(s.p_vaddr));
    if (s.p_filesz == 0)
      continue;
    if (::mmap(bytes_at(at), bytes, protection(s), MAP_PRIVATE | MAP_FIXED, file.descriptor,
               static_cast<off_t>(page_down(s.p_offset))) == MAP_FAILED)
      return bad(path, "a segment of it cannot be mapped");
    if ((s.p_flags & PF_X) != 0 && self.text_ == Address{})
      self.text_ = at;
  }
  return self;
}

ElfText::ElfText(ElfText&& other) noexcept
    : start_(std::exchange(other.start_, {})), bytes_(std::exchange(other.bytes_, 0)), text_(other.text_) {}

ElfText::~ElfText() {
  if (bytes_ != 0)
    ::munmap(bytes_at(start_), bytes_);
}

} // namespace proberace
