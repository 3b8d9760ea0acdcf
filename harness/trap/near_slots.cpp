#include "harness/trap/near_slots.h"

#include <cerrno>
#include <sys/mman.h>

namespace proberace {

std::expected<int, Error> NearSlots::map(Address page) {
  void* const mapped = ::mmap(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  return mapped == MAP_FAILED ? errno : 0;
}

Status NearSlots::write(Address slot, std::span<const std::uint8_t> code) {
  pending_.add(slot, code);
  return {};
}

void NearSlots::release_all() noexcept {
  pending_.clear();
  for (std::size_t run = 0; pages() != 0; drop_last_pages(run)) {
    run = last_run();
    ::munmap(bytes_at(last_page()), run * kPageBytes);
  }
  forget_pages();
}

} // namespace proberace
