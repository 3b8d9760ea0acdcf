#include "strategies/step/lent_memory.h"

#include "harness/base/address_space.h"
#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"
#include "harness/schedule/point.h"

#include <cstdlib>
#include <set>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr int kLent = PROT_READ | PROT_WRITE | PROT_EXEC;

[[noreturn]] void die(const char* message, std::size_t length) noexcept {
  raw_syscall(SYS_write, STDERR_FILENO, message, length);
  std::abort();
}

Address page_end(Address start, std::size_t bytes) noexcept {
  return page_of(start + static_cast<std::ptrdiff_t>(bytes - 1)) + kPageBytes;
}

std::set<Address> pages_of(Address start, std::size_t bytes) {
  std::set<Address> pages;
  for (Address page = page_of(start); page < page_end(start, bytes); page = page + kPageBytes)
    pages.insert(page);
  return pages;
}

} // namespace

std::uint64_t LentMemory::next_epoch() noexcept {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed); // a number only
}

Status LentMemory::allowed() {
  void* const page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return failure(ErrorKind::NoRoom, "out of memory");
  const bool may = ::mprotect(page, kPageBytes, kLent) == 0;
  ::munmap(page, kPageBytes);
  if (may)
    return {};
  return failure(ErrorKind::MemoryUnsupported,
                 "this process may not make writable memory executable (PR_SET_MDWE, or a security "
                 "module): a thread's TLS or stack cannot hold an instruction");
}

void LentMemory::lend(Address start, std::size_t bytes) noexcept {
  constexpr char kNoRoom[] =
      "proberace: more pages of TLS or stacks to make executable than can be remembered\n";
  constexpr char kRefused[] =
      "proberace: the kernel does not let a thread's TLS or stack become executable\n";
  // Remembered first: give_back finds every page that may be executable.
  if (!contains(start)) {
    const std::uint32_t i = used_.fetch_add(1, std::memory_order_release); // pairs with for_each
    if (i >= kCapacity)
      die(kNoRoom, sizeof kNoRoom - 1);
    schedule::point("lend.note", start);
    ranges_[i].bytes.store(static_cast<std::uint32_t>(bytes), std::memory_order_relaxed);
    ranges_[i].start.store(value(start), std::memory_order_release); // pairs with for_each
  }
  // Even if known: the thread that was lent it may have ended, and this one's stack have been mapped there.
  const Address from = page_of(start);
  const Address to = page_end(start, bytes);
  if (raw_syscall(SYS_mprotect, bytes_at(from), to - from, kLent) != 0)
    die(kRefused, sizeof kRefused - 1);
}

bool LentMemory::contains(Address pc) const noexcept {
  bool found = false;
  for_each([&](Address start, std::uint32_t bytes) {
    found = found || (start <= pc && pc < start + static_cast<std::ptrdiff_t>(bytes));
  });
  return found;
}

void LentMemory::give_back() noexcept {
  std::set<Address> pages;
  for_each([&](Address start, std::uint32_t bytes) { pages.merge(pages_of(start, bytes)); });
  const AddressSpace space = AddressSpace::read();
  for (const Address page : pages) {
    const Mapping* mapping = space.find(page);
    if (mapping != nullptr && mapping->writable && mapping->executable)
      ::mprotect(bytes_at(page), kPageBytes, PROT_READ | PROT_WRITE);
  }
  // Nothing is armed: no thread lends. A second thread would take an old range for lent, while the first has not
  // written its own over it.
  for (std::uint32_t i = 0; i < used_.load(std::memory_order_relaxed); ++i)
    ranges_[i].start.store(0, std::memory_order_relaxed);
  used_.store(0, std::memory_order_relaxed);
  epoch_.store(next_epoch(), std::memory_order_release); // pairs with epoch()
}

Footprint LentMemory::footprint() const noexcept {
  std::set<Address> pages;
  for_each([&](Address start, std::uint32_t bytes) { pages.merge(pages_of(start, bytes)); });
  Footprint f;
  f.thread_bytes = static_cast<std::int64_t>(pages.size() * kPageBytes);
  f.writable_executable_bytes = f.thread_bytes;
  return f;
}

} // namespace proberace
