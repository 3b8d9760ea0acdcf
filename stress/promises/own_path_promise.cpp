// promise/probes-in-own-path (H29): probes on functions of libc that a prober, or the compiler behind its
// back, may call.
#include "harness/base/signal_action.h"
#include "stress/code/probed_code.h"

#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <mutex>
#include <pthread.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::uint64_t kExecutions = 100;

struct LibcFunction {
  const char* name;
  Address entry;
};

// libc's own signal restorer has no name: it is what libc's sigaction installs.
Address libc_restorer() {
  on_signal(SIGUSR2, [](int, siginfo_t*, void*) {});
  return address_of(reinterpret_cast<const void*>(current_signal_action(SIGUSR2).restorer));
}

template <typename Function> Address entry_of(Function* function) {
  Function* volatile resolved = function; // through the dynamic linker: an ifunc's choice
  return address_of(reinterpret_cast<const void*>(resolved));
}

// A hit handler that uses libc as handlers in the wild do.
void use_libc(Hit&, void*) {
  char from[64] = "probed";
  char to[64];
  void* (*volatile copy)(void*, const void*, std::size_t) = &std::memcpy;
  copy(to, from, sizeof to);
}

Verdict own_path(const Json& parameters, HitHandler handler) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  Prober& prober = (*code)->prober();
  if (handler != nullptr)
    if (const Status set = prober.set_handler(handler, nullptr); !set)
      return held("hits never reach a handler");
  const LibcFunction functions[] = {{"pthread_mutex_lock", entry_of(&::pthread_mutex_lock)},
                                    {"memcpy", entry_of(&std::memcpy)},
                                    {"memset", entry_of(&std::memset)},
                                    {"malloc", entry_of(&std::malloc)},
                                    {"the signal restorer", libc_restorer()}};
  std::vector<Site> sites;
  for (const LibcFunction& f : functions)
    if (const auto site = (*code)->target().site_at(f.entry))
      sites.push_back(*site);
  const SiteResults results = prober.insert(sites);
  const auto armed =
      std::count_if(results.begin(), results.end(), [](const Status& s) { return s.has_value(); });
  if (armed < 3 || !results[0])
    return verdict_of(first_error(results).error());
  // Hits and operations, with all of that armed.
  const bool slow = removes_slowly(parameters);
  std::uint64_t executions = 0;
  for (int round = 0; round < (slow ? 1 : 4); ++round) {
    if (const Status inserted = first_error(prober.insert({{(*code)->site(0)}})); !inserted)
      return broken("operation", describe(inserted.error()));
    for (std::uint64_t i = 0; i < kExecutions; ++i, ++executions)
      if ((*code)->function<Increment>()(i) != i + 1)
        return broken("wrong-result", "wrong result with libc probed");
    if ((*code)->hits(0) != executions)
      return broken("wrong-count", fmt::format("{} executions, {} hits", executions, (*code)->hits(0)));
    if (const Status removed = first_error(prober.remove({{(*code)->site(0)}})); !removed)
      return broken("operation", describe(removed.error()));
  }
  ::raise(SIGUSR2); // returns through the restorer
  // A function of libc that only this loop calls between two readings.
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  const auto lock_once = [&] {
    ::pthread_mutex_lock(&mutex);
    ::pthread_mutex_unlock(&mutex);
  };
  const std::uint64_t empty_before = prober.hits(sites[0]);
  const std::uint64_t of_reading = prober.hits(sites[0]) - empty_before; // hits() itself locks
  const std::uint64_t before = prober.hits(sites[0]);
  for (std::uint64_t i = 0; i < kExecutions; ++i)
    lock_once();
  const std::uint64_t counted = prober.hits(sites[0]) - before;
  if (counted != kExecutions + of_reading)
    return broken("wrong-count", fmt::format("{} locks, {} hits of pthread_mutex_lock besides {} of reading",
                                             kExecutions, counted - of_reading, of_reading));
  for (const Status& removed : prober.remove(sites))
    if (!removed && removed.error().kind != ErrorKind::NotArmed)
      return broken("operation", describe(removed.error()));
  const Status closed = prober.close();
  return closed ? held(fmt::format("{} functions of libc", armed))
                : broken("close", describe(closed.error()));
}

// A uprobe is a place in a file: on libc it is in every process of the machine, and Linux 6.18 emulates VEX
// instructions, which libc's memset begins with, as branches. Tried once: tests that ran meanwhile lost hits,
// and grep died of "program error".
Verdict not_on_everybodys_libc() {
  return verdict_of(
      Error{ErrorKind::MachineLacks,
            {},
            "a uprobe on libc is in every process of the machine, which it breaks on Linux 6.18"});
}

Verdict probes_in_own_path(const Json& parameters, Arena&) {
  if (facts_of(parameters.at("strategy")).machine_wide)
    return not_on_everybodys_libc();
  const Verdict plain = own_path(parameters, nullptr);
  return plain.is(Ending::Held) ? own_path(parameters, &use_libc) : plain;
}

const bool own_path_promise_registered =
    register_experiment("promise/probes-in-own-path", &probes_in_own_path);

} // namespace

} // namespace proberace
