// Which measurements there are.
#include "harness/probe/registry.h"
#include "stress/bench/measurement.h"

#include <thread>

namespace proberace {

namespace {

constexpr const char* kHitCases[] = {"nop", "nop5", "push", "mov", "lea-rip"};
constexpr std::size_t kInsertionThreads[] = {0, 1, 2, 4, 8};
constexpr const char* kPlan = "across-cores";

CellSpec cell(std::string experiment, Json parameters) {
  return CellSpec{std::move(experiment), std::move(parameters), std::chrono::seconds(30)};
}

Measurement floor(const char* what, std::size_t threads, bool full) {
  const bool one = threads == 1;
  Measurement m{"floors",
                one ? what : std::string(what) + "-all",
                "none",
                threads,
                one ? "same-pu" : kPlan,
                {},
                cell("bench/floor", Json{{"floor", what}, {"threads", threads}, {"full", full}})};
  if (one)
    m.metrics = {{"floor", "ns", "ns"}};
  else
    m.metrics = {{"throughput", "1/s", "per_second"}};
  return m;
}

Measurement hit(const std::string& strategy, const char* body, bool full) {
  return {"hit",
          body,
          strategy,
          1,
          "same-pu",
          {{"hit", "ns", "hit_ns"},
           {"hit-p99", "ns", "hit_p99_ns"},
           {"hit-to-trap", "x", "to_trap"},
           {"baseline", "ns", "baseline_ns"}},
          cell("bench/hit", Json{{"strategy", strategy}, {"body", body}, {"full", full}})};
}

Measurement insertion(const std::string& strategy, std::size_t threads, bool full) {
  return {"insertion",
          "one-probe",
          strategy,
          threads,
          kPlan,
          {{"insert", "ns", "insert_ns"}, {"remove", "ns", "remove_ns"}},
          cell("bench/insertion",
               Json{{"strategy", strategy}, {"threads", threads}, {"plan", kPlan}, {"full", full}})};
}

constexpr std::size_t kManySites = 100'000;
constexpr std::size_t kBatch = 10'000;

Measurement many_sites(const std::string& strategy) {
  return {"scale",
          "100000-sites",
          strategy,
          1,
          "same-pu",
          {{"hit-many", "ns", "hit_many_ns"},
           {"hit-many-ratio", "x", "many_ratio"},
           {"hit-spread-ratio", "x", "spread_ratio"}},
          cell("bench/many-sites", Json{{"strategy", strategy}, {"sites", kManySites}})};
}

Measurement batch(const std::string& strategy) {
  return {"scale",
          "10000-batch",
          strategy,
          1,
          kPlan,
          {{"insert", "ns", "insert_each_ns"},
           {"remove", "ns", "remove_each_ns"},
           {"insert-ratio", "x", "insert_ratio"},
           {"remove-ratio", "x", "remove_ratio"}},
          cell("bench/batch", Json{{"strategy", strategy}, {"sites", kBatch}})};
}

Measurement scaling(const std::string& strategy, std::size_t threads) {
  return {"scale",
          "one-site",
          strategy,
          threads,
          kPlan,
          {{"throughput", "1/s", "per_second"},
           {"scaling", "x", "factor"},
           {"scaling-to-code", "x", "to_code"},
           {"scaling-to-trap", "x", "to_trap"}},
          cell("bench/scaling", Json{{"strategy", strategy}, {"threads", threads}})};
}

Measurement log(std::size_t threads, bool full) {
  return {"log",
          "stream",
          "none",
          threads,
          kPlan,
          {{"throughput", "1/s", "per_second"},
           {"to-write", "x", "to_write"},
           {"to-write-each", "x", "to_write_each"},
           {"lost-at-5M", "1", "paced_lost"},
           {"held-at-5M", "us", "paced_longest_us"},
           {"write-held-at-5M", "us", "paced_write_longest_us"}},
          cell("bench/log", Json{{"threads", threads}, {"records", full ? 50'000'000 : 5'000'000}})};
}

} // namespace

std::vector<Measurement> measurements(const SuiteSize& size) {
  const std::vector<std::string> strategies =
      size.strategies.empty() ? covering_strategies() : size.strategies;
  const std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
  std::vector<Measurement> all;
  for (const char* what : {"trap", "step", "call", "syscall", "arithmetic"})
    all.push_back(floor(what, 1, size.full));
  if (cpus > 1)
    for (const char* what : {"trap", "arithmetic"})
      all.push_back(floor(what, cpus, size.full));
  all.push_back(log(cpus, size.full));
  for (const std::string& strategy : strategies) {
    for (const char* body : kHitCases)
      all.push_back(hit(strategy, body, size.full));
    for (const std::size_t threads : kInsertionThreads)
      all.push_back(insertion(strategy, threads, size.full));
    if (cpus > 1)
      all.push_back(scaling(strategy, cpus));
    // Ten thousand slow removals would take a quarter of an hour. The transport matters little: cost that grows
    // with the number of sites arises in the armer and the site table.
    const auto parts = parts_of(strategy);
    if (facts_of(strategy).removal == Removal::Slow || (parts && !parts->by_default_transport()))
      continue;
    all.push_back(batch(strategy));
    if (size.full || !parts || parts->armer == holder_of(Role::ReferenceArmer))
      all.push_back(many_sites(strategy));
  }
  return all;
}

} // namespace proberace
