// A stack with memory on both sides that nobody may read, as a program's own stacks, fibres and main threads have it:
// a search of the stack must end at its edge.
#pragma once

#include <cstddef>
#include <pthread.h>

namespace proberace {

class GuardedStack {
public:
  GuardedStack();
  GuardedStack(const GuardedStack&) = delete;
  GuardedStack& operator=(const GuardedStack&) = delete;
  // Precondition: no thread runs on it.
  ~GuardedStack();

  // The next thread that is made with these attributes runs on it. False, and nothing done, if there was no memory.
  bool use(pthread_attr_t& attributes) const;
  // The address behind its last byte; null if there was no memory.
  std::byte* end() const noexcept;

private:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  std::byte* memory_ = nullptr;
};

} // namespace proberace
