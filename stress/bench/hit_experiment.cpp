// The cost of a hit: one thread executes one probed body; the same body unprobed is measured in the same cell
// and subtracted, and batches of bare traps are measured in turn with batches of hits. A batch lasts long
// enough that reading the clock, and caches disturbed by a trap, do not matter.
#include "harness/machine/pin_plan.h"
#include "harness/ptrace/proc_status.h"
#include "harness/result/statistics.h"
#include "stress/bench/bare_trap.h"
#include "stress/bench/clocks.h"
#include "stress/bench/histogram.h"
#include "stress/code/probed_text.h"

#include <fmt/format.h>
#include <unistd.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_each(const ProbedText& probed, Mailbox& mailbox, int executions) {
  const auto begin = Clock::now();
  for (int i = 0; i < executions; ++i)
    (void)probed.execute_lightly(0, mailbox);
  return nanoseconds_since(begin) / executions;
}

double median_of_batches(const ProbedText& probed, Mailbox& mailbox, int batches, int executions) {
  std::vector<double> samples;
  for (int i = 0; i < batches; ++i)
    samples.push_back(nanoseconds_each(probed, mailbox, executions));
  return median_of(samples);
}

double bare_trap_nanoseconds() {
  constexpr int kTraps = 50;
  const BareTraps bare;
  const auto begin = Clock::now();
  for (int i = 0; i < kTraps; ++i)
    bare_trap();
  return nanoseconds_since(begin) / kTraps;
}

struct Hits {
  std::vector<double> each;
  // Over the bare trap's cost in the same millisecond, because a neighbour on the host slows both. Empty if
  // this thread is traced: a bare trap would be its tracer's.
  std::vector<double> to_trap;
};

Hits hits_beside_traps(const ProbedText& probed, Mailbox& mailbox, int batches, int executions,
                       double baseline) {
  const bool traced = tracer_of(::gettid()) != 0;
  Hits hits;
  for (int i = 0; i < batches; ++i) {
    hits.each.push_back(nanoseconds_each(probed, mailbox, executions) - baseline);
    if (!traced)
      hits.to_trap.push_back(hits.each.back() / bare_trap_nanoseconds());
  }
  return hits;
}

// At least 50, and as many as fill 200 microseconds.
int hits_per_batch(double nanoseconds_each) {
  constexpr double kBatchNanoseconds = 200'000;
  return std::clamp(static_cast<int>(kBatchNanoseconds / nanoseconds_each), 50, 20'000);
}

Verdict run_hit(const Json& parameters, Arena&) {
  const bool full = parameters.value("full", false);
  const int batches = full ? 100 : 20;
  constexpr int kWarming = 200;
  constexpr int kUnprobedPerBatch = 20'000;
  const int singles = full ? 20'000 : 1'000;

  const auto plan = make_pin_plan("same-pu", 1);
  if (!plan)
    return verdict_of(plan.error());
  (void)pin_this_thread(plan->cpus[0]);
  const std::string body = parameters.at("body");
  if (body_named(body) == nullptr)
    return verdict_of(Error{ErrorKind::BadInput, {}, fmt::format("no body is called '{}'", body)});
  const Placement placement{body_named(body), 0};
  auto opened = ProbedText::open(parameters.at("strategy"), {&placement, 1});
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  const double nanoseconds = nanoseconds_per_cycle();

  Mailbox mailbox;
  const double baseline = median_of_batches(probed, mailbox, 10, kUnprobedPerBatch);
  if (const Status inserted = probed.insert_all(); !inserted)
    return verdict_of(inserted.error());
  (void)nanoseconds_each(probed, mailbox, kWarming); // caches, the thread's record, the kernel's nop5
  const int per_batch = hits_per_batch(nanoseconds_each(probed, mailbox, kWarming));
  const Hits measured = hits_beside_traps(probed, mailbox, batches, per_batch, baseline);
  Histogram cycles;
  for (int i = 0; i < singles; ++i) {
    const std::uint64_t begin = cycles_now();
    (void)probed.execute_lightly(0, mailbox);
    cycles.add(cycles_now() - begin);
  }
  const std::uint64_t expected = std::uint64_t{2} * kWarming +
                                 static_cast<std::uint64_t>(batches) * static_cast<std::uint64_t>(per_batch) +
                                 static_cast<std::uint64_t>(singles);
  const std::uint64_t hits = probed.prober().hits(probed.site(0));
  if (hits != expected)
    return broken("wrong-count", fmt::format("{} executions, {} hits while measuring", expected, hits));
  if (const Status removed = probed.remove_all(); !removed)
    return verdict_of(removed.error());

  const auto at = [&](double share) { return static_cast<double>(cycles.percentile(share)) * nanoseconds; };
  Verdict v;
  v.summary = "measured";
  v.data = Json{{"hit_ns", median_of(measured.each)},
                {"to_trap", measured.to_trap.empty() ? Json() : Json(median_of(measured.to_trap))},
                {"baseline_ns", baseline},
                {"hits", hits},
                {"hit_p50_ns", at(0.5)},
                {"hit_p90_ns", at(0.9)},
                {"hit_p99_ns", at(0.99)},
                {"hit_p999_ns", at(0.999)}};
  return v;
}

const bool hit_experiment_registered = register_experiment("bench/hit", &run_hit);

} // namespace

} // namespace proberace
