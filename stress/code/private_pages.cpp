#include "stress/code/private_pages.h"

#include <fcntl.h>
#include <unistd.h>

namespace proberace {

// Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 61 "file-page or shared-anon".
std::int64_t private_pages(Address start, std::size_t bytes) {
  std::int64_t count = 0;
  const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const Address end = start + static_cast<std::ptrdiff_t>(bytes);
  for (Address page = start; pagemap >= 0 && page < end; page = page + kPageBytes) {
    std::uint64_t entry = 0;
    const auto offset = static_cast<off_t>(value(page) / kPageBytes * sizeof entry);
    if (::pread(pagemap, &entry, sizeof entry, offset) == sizeof entry && (entry >> 63 & 1) != 0 &&
        (entry >> 61 & 1) == 0)
      ++count;
  }
  ::close(pagemap);
  return count;
}

} // namespace proberace
