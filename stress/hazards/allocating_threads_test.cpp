// Threads that allocate are stopped while probes are inserted and removed (H91).
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <malloc.h>
#include <thread>

namespace proberace {

namespace {

void allocate_until(const std::atomic<bool>& done) {
  // More than the caches of a thread keep, so that each call takes the arena's lock.
  constexpr std::size_t kBytes = 8000;
  while (!done.load(std::memory_order_relaxed)) {
    void* volatile const taken = std::malloc(kBytes);
    std::free(taken);
  }
}

Verdict probes_while_others_allocate(const Json& parameters, Arena&) {
  constexpr std::size_t kAllocators = 3;
  constexpr int kTimes = 200;
  constexpr int kTimesWhereSlow = 3;
  const std::string strategy = parameters.at("strategy");
  ::mallopt(M_ARENA_MAX, 1); // they all share the caller's
  auto code = ProbedCode::open(strategy, {kIncrement});
  if (!code)
    return verdict_of(code.error());
  std::atomic<bool> done{false};
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kAllocators; ++t)
    threads.emplace_back([&] { allocate_until(done); });
  const int times = facts_of(strategy).removal == Removal::Slow ? kTimesWhereSlow : kTimes;
  Status status;
  for (int n = 0; n < times && status; ++n) {
    status = (*code)->insert_all();
    if (status)
      status = (*code)->remove_all();
  }
  done.store(true, std::memory_order_relaxed);
  threads.clear();
  if (!status)
    return verdict_of(status.error());
  return (*code)->function<Increment>()(1) == 2 ? held() : broken("wrong-result", "after the last removal");
}

const bool allocating_threads_test_registered =
    register_experiment("test/probes-while-others-allocate", &probes_while_others_allocate);

class AllocatingThreads : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(AllocatingThreads, H91_AreNotWaitedForByTheirStopper) {
  PROBERACE_EXPECT_TEST_HELD("probes-while-others-allocate", GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, AllocatingThreads,
    testing::ValuesIn(strategies_promising({Promise::ExactCounts, Promise::RemovalWhileRunning})), test_name);

} // namespace proberace
