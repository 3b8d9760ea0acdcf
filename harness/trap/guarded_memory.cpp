#include "harness/trap/guarded_memory.h"

#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace proberace {

namespace {

constexpr std::size_t kWord = 8;

long populate(Address page, int how) noexcept {
  return raw_syscall(SYS_madvise, bytes_at(page), kPageBytes, how);
}

bool word_readable(Address aligned) noexcept {
  constexpr int kNoSuchHow = -1;
  // For rt_sigprocmask a null pointer is no set at all: nothing would be copied.
  if (aligned == Address{})
    return populate(aligned, MADV_POPULATE_READ) == 0;
  return raw_syscall(SYS_rt_sigprocmask, kNoSuchHow, bytes_at(aligned), nullptr, kWord) != -EFAULT;
}

// The hardware's fault at this address as the kernel would have reported it (arch/x86/mm/fault.c).
HardwareFault fault_of(Address at, long populate_error) noexcept {
  switch (populate_error) {
  case -ENOMEM: return {SIGSEGV, SEGV_MAPERR, at};
  case -EFAULT: return {SIGBUS, BUS_ADRERR, at};
  default: return {SIGSEGV, SEGV_ACCERR, at};
  }
}

} // namespace

bool outside_user_half(Address at, Address last, HardwareFault& fault) noexcept {
  constexpr int kUserBits = 47;
  for (const Address edge : {at, last}) {
    if (value(edge) >> kUserBits == 0)
      continue;
    const bool canonical = static_cast<std::int64_t>(value(edge)) >> kUserBits == -1;
    fault =
        canonical ? HardwareFault{SIGSEGV, SEGV_MAPERR, edge} : HardwareFault{SIGSEGV, SI_KERNEL, Address{}};
    return true;
  }
  return false;
}

bool readable(Address at, std::size_t bytes, HardwareFault& fault) noexcept {
  const Address last = at + static_cast<std::ptrdiff_t>(bytes - 1);
  if (outside_user_half(at, last, fault))
    return false;
  // The first byte and the last: no operand is longer than a page.
  for (const Address edge : {at, last}) {
    const Address word{value(edge) & ~(kWord - 1)};
    if (word_readable(word))
      continue;
    fault = fault_of(edge == at ? at : page_of(edge), populate(page_of(edge), MADV_POPULATE_READ));
    return false;
  }
  return true;
}

bool writable(Address at, std::size_t bytes, HardwareFault& fault) noexcept {
  const Address last = at + static_cast<std::ptrdiff_t>(bytes - 1);
  if (outside_user_half(at, last, fault))
    return false;
  for (Address page = page_of(at); page <= page_of(last); page = page + kPageBytes) {
    const long error = populate(page, MADV_POPULATE_WRITE);
    if (error == 0)
      continue;
    fault = fault_of(page == page_of(at) ? at : page, error);
    return false;
  }
  return true;
}

namespace {
template <typename T> void one_access(std::uint8_t* to, const std::uint8_t* from) noexcept {
  struct [[gnu::packed, gnu::may_alias]] Unaligned {
    T word;
  };
  const T word = reinterpret_cast<const volatile Unaligned*>(from)->word;
  reinterpret_cast<volatile Unaligned*>(to)->word = word;
}

// 16 aligned bytes are one access on every processor with AVX (SDM vol. 3A, 9.1.1; APM vol. 2, 7.3.2).
void one_vector_access(std::uint8_t* to, const std::uint8_t* from) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i_u*>(to),
                   _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from)));
}
} // namespace

void copy_whole(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) noexcept {
  switch (bytes) {
  case 1: one_access<std::uint8_t>(to, from); break;
  case 2: one_access<std::uint16_t>(to, from); break;
  case 4: one_access<std::uint32_t>(to, from); break;
  case 8: one_access<std::uint64_t>(to, from); break;
  case 16: one_vector_access(to, from); break;
  default:
    for (std::size_t i = 0; i < bytes; ++i)
      one_access<std::uint8_t>(to + i, from + i);
  }
}

void queue_fault(const HardwareFault& fault) noexcept {
  siginfo_t info;
  std::memset(&info, 0, sizeof info);
  info.si_signo = fault.signal;
  info.si_code = fault.code;
  info.si_addr = bytes_at(fault.address);
  raw_syscall(SYS_rt_tgsigqueueinfo, raw_syscall(SYS_getpid), current_thread(), fault.signal, &info);
}

} // namespace proberace
