#include "stress/scenario/guarded_stack.h"

#include "harness/base/address.h"

#include <sys/mman.h>

namespace proberace {

namespace {
constexpr std::size_t kGuard = kPageBytes;
}

GuardedStack::GuardedStack() {
  void* const memory =
      ::mmap(nullptr, kBytes + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return;
  memory_ = static_cast<std::byte*>(memory);
  if (::mprotect(memory_ + kGuard, kBytes, PROT_READ | PROT_WRITE) != 0) {
    ::munmap(memory_, kBytes + 2 * kGuard);
    memory_ = nullptr;
  }
}

GuardedStack::~GuardedStack() {
  if (memory_ != nullptr)
    ::munmap(memory_, kBytes + 2 * kGuard);
}

bool GuardedStack::use(pthread_attr_t& attributes) const {
  return memory_ != nullptr && ::pthread_attr_setstack(&attributes, memory_ + kGuard, kBytes) == 0;
}

std::byte* GuardedStack::end() const noexcept {
  return memory_ == nullptr ? nullptr : memory_ + kGuard + kBytes;
}

} // namespace proberace
