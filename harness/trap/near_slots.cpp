#include "harness/trap/near_slots.h"

#include "harness/base/process_memory.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>

namespace proberace {

std::expected<int, Error> NearSlots::map(Address page) {
  void* const mapped = ::mmap(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  return mapped == MAP_FAILED ? errno : 0;
}

Status NearSlots::write(Address slot, std::span<const std::uint8_t> code) {
  const std::ptrdiff_t offset = slot - run_start_;
  const bool continues = !run_.empty() && offset >= 0 && offset <= static_cast<std::ptrdiff_t>(run_.size());
  if (!continues) {
    if (const Status flushed = flush(); !flushed)
      return flushed;
    run_start_ = slot;
  }
  const auto begin = static_cast<std::size_t>(continues ? offset : 0);
  run_.resize(std::max(run_.size(), begin + code.size()));
  std::ranges::copy(code, run_.begin() + static_cast<std::ptrdiff_t>(begin));
  return {};
}

Status NearSlots::flush() {
  if (run_.empty())
    return {};
  if (const int error = write_code(run_start_, run_); error != 0) // kept, and tried again by the next flush
    return std::unexpected(
        system_error("cannot write out-of-line slots through /proc/self/mem", error, run_start_));
  run_.clear();
  return {};
}

void NearSlots::release_all() noexcept {
  run_.clear();
  for (; pages() != 0; drop_last_page())
    ::munmap(bytes_at(last_page()), kPageBytes);
  forget_pages();
}

} // namespace proberace
