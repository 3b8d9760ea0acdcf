#include "strategies/arm/page_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <unistd.h>

namespace proberace {

namespace {

std::unexpected<Error> refused(Address page, std::string_view why) {
  return std::unexpected(
      Error{ErrorKind::MemoryUnsupported, page, fmt::format("this page cannot be swapped: {}", why)});
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

// True if any memory of this process is locked (cheap), so that the mapping must be looked at (dear).
bool anything_locked() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmLck:"))
      return line.find_first_of("123456789") != std::string::npos;
  return true;
}

// VmFlags' "lo" of the mapping in /proc/self/smaps (proc(5)).
bool locked(Address page) {
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
  return false;
}

} // namespace

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
  if (anything_locked() && locked(page))
    return refused(page, "its mapping is locked in memory (mlock), and moving it would unlock it");
  return {};
}

} // namespace proberace
