#include "strategies/arm/page_state.h"

#include "harness/base/failure.h"
#include "harness/base/process_memory.h"

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace proberace {

namespace {

std::unexpected<Error> refused(Address page, std::string_view why) {
  return failure(ErrorKind::MemoryUnsupported, page, "this page cannot be swapped: {}", why);
}

// Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61 "file-page or shared-anon".
bool private_copy(Address page) {
  std::uint64_t entry = 0;
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return true; // unknown is not clean
  const ssize_t n =
      ::pread(fd, &entry, sizeof entry, static_cast<off_t>(value(page) / kPageBytes * sizeof entry));
  ::close(fd);
  const bool present = (entry >> 63 & 1) != 0;
  const bool swapped = (entry >> 62 & 1) != 0;
  const bool of_file = (entry >> 61 & 1) != 0;
  return n != sizeof entry || swapped || (present && !of_file);
}

// True if any memory of this process is locked (cheap to ask), so that the mapping must be looked at
// (costly).
bool anything_locked() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmLck:"))
      return line.find_first_of("123456789") != std::string::npos;
  return true;
}

// VmFlags' "lo" of the mapping in /proc/self/smaps (proc(5)).
bool flagged_locked(Address page) {
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t start = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) ==
        2) // NOLINT(cert-err34-c): the kernel's own format
      here = start <= value(page) && value(page) < end;
    else if (here && line.starts_with("VmFlags:"))
      return line.find(" lo") != std::string::npos;
  }
  return true;
}

} // namespace

bool locked(Address page) {
  return anything_locked() && flagged_locked(page);
}

namespace {

// The file's content, seen through a second mapping of what is mapped here (proc(5), map_files).
bool as_in_file(Address page) {
  const AddressSpace space = AddressSpace::read();
  const Mapping* mapping = space.find(page);
  if (mapping == nullptr || !mapping->file_backed() || mapping->shared)
    return false;
  const std::string name =
      fmt::format("/proc/self/map_files/{:x}-{:x}", value(mapping->start), value(mapping->end));
  const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return false;
  std::array<std::uint8_t, kPageBytes> in_file{};
  std::array<std::uint8_t, kPageBytes> in_memory{};
  const auto offset =
      static_cast<off_t>(mapping->file_offset + static_cast<std::uint64_t>(page - mapping->start));
  // Short where the file ends in this page: the rest of it reads as zeros in memory too.
  const bool read = ::pread(file, in_file.data(), in_file.size(), offset) > 0;
  ::close(file);
  return read && read_memory(page, in_memory) && in_file == in_memory;
}

} // namespace

bool drop_if_as_in_file(Address page) {
  return as_in_file(page) && ::madvise(bytes_at(page), kPageBytes, MADV_DONTNEED) == 0;
}

Status clean_private_file_page(const AddressSpace& space, Address page) {
  const Mapping* mapping = space.find(page);
  if (mapping == nullptr)
    return refused(page, "it is not mapped");
  if (!mapping->file_backed() || mapping->shared)
    return refused(page, "only private mappings of files can; anonymous code would show zeros for a moment");
  if (mapping->writable)
    return refused(page, "it is writable, and a write to it would be lost");
  if (private_copy(page))
    return refused(page, "it is already a private copy (relocations, or another tool's patch)");
  if (locked(page))
    return refused(page, "its mapping is locked in memory (mlock), and moving it would unlock it");
  return {};
}

} // namespace proberace
