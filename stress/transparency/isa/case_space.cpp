#include "stress/transparency/isa/case_space.h"

#include <cerrno>
#include <sys/mman.h>
#include <utility>

namespace proberace {

std::expected<CaseSpace, Error> CaseSpace::reserve(Layout layout) {
  const int where = layout == Layout::Low ? MAP_32BIT : 0;
  void* const memory = ::mmap(nullptr, static_cast<std::size_t>(kBytes), PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | where, -1, 0);
  if (memory == MAP_FAILED)
    return std::unexpected(system_error("cannot reserve memory for instructions", errno));
  CaseSpace space(address_of(memory), layout);
  // The read-only page stays zero: it is there to be read and not written.
  if (::mprotect(bytes_at(space.data()), kDataBytes, PROT_READ | PROT_WRITE) != 0 ||
      ::mprotect(bytes_at(space.read_only()), kPageBytes, PROT_READ) != 0 ||
      ::mprotect(bytes_at(space.start_ + kStackAt), kStackBytes, PROT_READ | PROT_WRITE) != 0)
    return std::unexpected(system_error("cannot prepare memory for instructions", errno));
  return space;
}

CaseSpace::CaseSpace(CaseSpace&& other) noexcept
    : start_(std::exchange(other.start_, Address{})), layout_(other.layout_) {}

CaseSpace::~CaseSpace() {
  if (start_ != Address{})
    ::munmap(bytes_at(start_), static_cast<std::size_t>(kBytes));
}

} // namespace proberace
