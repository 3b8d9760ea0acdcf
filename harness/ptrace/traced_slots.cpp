#include "harness/ptrace/traced_slots.h"

#include "harness/base/failure.h"

#include <cstring>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace proberace {

std::expected<int, Error> TracedSlots::map(Address page) {
  constexpr std::uint64_t kProtection = PROT_READ | PROT_EXEC;
  constexpr std::uint64_t kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const auto mapped =
      calls_.call(SYS_mmap, {value(page), kPageBytes, kProtection, kFlags, ~std::uint64_t{0}, 0});
  if (!mapped)
    return std::unexpected(mapped.error());
  if (*mapped < 0)
    return static_cast<int>(-*mapped);
  (void)calls_.call(SYS_madvise, {value(page), kPageBytes, MADV_DONTFORK, 0, 0, 0});
  return 0;
}

Status TracedSlots::write(Address slot, std::span<const std::uint8_t> code) {
  if (const int error = memory_.write(slot, code); error != 0)
    return std::unexpected(
        system_error("cannot write an out-of-line slot through /proc/PID/mem", error, slot));
  return {};
}

Status TracedSlots::release_all() {
  for (std::size_t run = 0; pages() != 0; drop_last_pages(run)) {
    run = last_run();
    const auto unmapped = calls_.call(SYS_munmap, {value(last_page()), run * kPageBytes, 0, 0, 0, 0});
    if (!unmapped && !tracees_.process_lives())
      break; // and the slots with it
    if (!unmapped || *unmapped < 0)
      return failure(ErrorKind::System, last_page(), "the slots stay mapped: {}",
                     unmapped ? std::strerror(static_cast<int>(-*unmapped)) : unmapped.error().message);
  }
  forget_pages();
  return {};
}

} // namespace proberace
