// A thread whose stack no cache keeps: glibc gives it back to the kernel when the thread is joined, so that another's may be
// mapped where it lay.
#pragma once

#include <pthread.h>
#include <system_error>

namespace proberace {

class FreshThread {
public:
  // `body` outlives the thread. An ordinary thread if not `fresh`. std::system_error if there is none, as std::thread.
  template <typename Body> FreshThread(Body& body, bool fresh) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    if (fresh)
      ::pthread_attr_setstacksize(&attributes, kMoreThanTheCacheKeeps);
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
  void join() { ::pthread_join(thread_, nullptr); }

private:
  static constexpr std::size_t kMoreThanTheCacheKeeps = std::size_t{64}
                                                        << 20; // of address space; it keeps 40 MiB
  pthread_t thread_{};
};

} // namespace proberace
