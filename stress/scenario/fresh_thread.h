// Threads on stacks that differ from those of std::thread.
#pragma once

#include "stress/scenario/guarded_stack.h"

#include <pthread.h>
#include <system_error>

namespace proberace {

class FreshThread {
public:
  // `body` outlives the thread. An ordinary thread if not `fresh`: else no cache keeps its stack, and glibc gives it back
  // to the kernel when the thread is joined, so that another's may be mapped where it lay. std::system_error if there
  // is none, as std::thread.
  template <typename Body> FreshThread(Body& body, bool fresh) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    if (fresh)
      ::pthread_attr_setstacksize(&attributes, kMoreThanTheCacheKeeps);
    start(body, attributes);
  }
  // On that stack, which outlives it, too.
  template <typename Body> FreshThread(Body& body, const GuardedStack& stack) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    (void)stack.use(attributes);
    start(body, attributes);
  }
  void join() { ::pthread_join(thread_, nullptr); }

private:
  template <typename Body> void start(Body& body, pthread_attr_t& attributes) {
    const int error = ::pthread_create(
        &thread_, &attributes,
        [](void* argument) -> void* {
          (*static_cast<Body*>(argument))();
          return nullptr;
        },
        &body);
    ::pthread_attr_destroy(&attributes);
    if (error != 0)
      throw std::system_error(error, std::generic_category());
  }
  static constexpr std::size_t kMoreThanTheCacheKeeps = std::size_t{64}
                                                        << 20; // of address space; it keeps 40 MiB
  pthread_t thread_{};
};

} // namespace proberace
