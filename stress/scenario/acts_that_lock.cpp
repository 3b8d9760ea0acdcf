// The act `library`: a thread holds a lock of the C library while it is stopped, interrupted or forked from. If the
// prober's code takes the same lock meanwhile, it deadlocks (H91).
#include "stress/scenario/scenario_run.h"

#include <cstdlib>
#include <link.h>

namespace proberace {

namespace {

// More than the caches of a thread keep, so that each call takes the arena's lock.
void take_allocators_lock() {
  constexpr std::size_t kBytes = 8000;
  void* volatile const taken = std::malloc(kBytes);
  std::free(taken);
}

void take_loaders_lock() {
  ::dl_iterate_phdr([](dl_phdr_info*, std::size_t, void*) { return 0; }, nullptr);
}

} // namespace

namespace perform {

void Library(ScenarioRun& run, std::size_t thread, const Act& act) {
  constexpr int kTimes = 200;      // some milliseconds with traps
  constexpr int kLocksAtOnce = 30; // between two executions: most signals find the thread here
  if (run.controlled_)
    return;
  for (int n = 0; n < kTimes; ++n) {
    for (int m = 0; m < kLocksAtOnce; ++m)
      take_allocators_lock();
    take_loaders_lock();
    run.execute_own(thread, act.bodies[0]);
  }
}

} // namespace perform

} // namespace proberace
