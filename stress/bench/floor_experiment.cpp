// Floors: what the machine charges at the least, measured like everything else in the same run.
#include "harness/base/raw_syscall.h"
#include "harness/cell/experiment.h"
#include "harness/machine/pin_plan.h"
#include "harness/result/statistics.h"
#include "stress/bench/bare_trap.h"
#include "stress/bench/clocks.h"

#include <atomic>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <sys/syscall.h>
#include <thread>

// A function that only returns, so that nothing of it is inlined away.
asm(R"(
        .text
        .p2align 5
        .type   proberace_empty_function, @function
proberace_empty_function:
        ret
        .size   proberace_empty_function, .-proberace_empty_function
)");
extern "C" void proberace_empty_function();

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

void trap(int n) {
  for (int i = 0; i < n; ++i)
    bare_trap();
}

// The figure is of both traps.
void step(int n) {
  for (int i = 0; i < n; ++i)
    bare_step();
}

void call(int n) {
  for (int i = 0; i < n; ++i)
    asm volatile("call proberace_empty_function" : : : "memory", "cc");
}

void system_call(int n) {
  for (int i = 0; i < n; ++i)
    raw_syscall(SYS_getppid);
}

void arithmetic(int n) {
  std::uint64_t x = 1;
  for (int i = 0; i < n; ++i)
    asm volatile("imulq %0, %0" : "+r"(x));
}

struct Floor {
  void (*run)(int);
  int per_batch;
};

const std::map<std::string, Floor> kFloors{{"trap", {&trap, 200}},
                                           {"step", {&step, 50}},
                                           {"call", {&call, 200'000}},
                                           {"syscall", {&system_call, 3000}},
                                           {"arithmetic", {&arithmetic, 200'000}}};

double nanoseconds_of(const Floor& floor) {
  const auto begin = Clock::now();
  floor.run(floor.per_batch);
  return nanoseconds_since(begin) / floor.per_batch;
}

Json on_one_thread(const Floor& floor, int batches) {
  std::vector<double> samples;
  for (int i = 0; i < batches; ++i)
    samples.push_back(nanoseconds_of(floor));
  return Json{{"ns", median_of(samples)}, {"batches", batches}};
}

// All threads for a while at once: operations per second of all together.
Json on_all_threads(const Floor& floor, const PinPlan& plan) {
  constexpr std::chrono::milliseconds kWhile{60};
  std::atomic<bool> go{false};
  std::atomic<std::uint64_t> operations{0};
  std::vector<std::thread> threads;
  for (const int cpu : plan.cpus)
    threads.emplace_back([&, cpu] {
      (void)pin_this_thread(cpu);
      while (!go.load(std::memory_order_acquire)) { // pairs with the store below
      }
      const auto end = Clock::now() + kWhile;
      std::uint64_t n = 0;
      for (; Clock::now() < end; n += static_cast<std::uint64_t>(floor.per_batch))
        floor.run(floor.per_batch);
      operations.fetch_add(n, std::memory_order_relaxed); // read after the join
    });
  const auto begin = Clock::now();
  go.store(true, std::memory_order_release); // pairs with the threads' loads
  for (std::thread& t : threads)
    t.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return Json{{"per_second", static_cast<double>(operations.load()) / seconds}};
}

Verdict run_floor(const Json& parameters, Arena&) {
  const auto floor = kFloors.find(parameters.at("floor"));
  if (floor == kFloors.end())
    return verdict_of(
        Error{ErrorKind::BadInput, {}, fmt::format("no floor is called {}", parameters.at("floor").dump())});
  const std::size_t threads = parameters.value("threads", std::size_t{1});
  const auto plan = make_pin_plan(threads == 1 ? "same-pu" : "across-cores", threads);
  if (!plan)
    return verdict_of(plan.error());
  const BareTraps traps;
  (void)pin_this_thread(plan->cpus[0]);
  Verdict v;
  v.summary = "measured";
  v.data = threads == 1 ? on_one_thread(floor->second, parameters.value("full", false) ? 200 : 40)
                        : on_all_threads(floor->second, *plan);
  return v;
}

const bool floor_experiment_registered = register_experiment("bench/floor", &run_floor);

} // namespace

} // namespace proberace
