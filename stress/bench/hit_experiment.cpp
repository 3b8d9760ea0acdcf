// What a hit costs: one thread executes one probed body; the same body unprobed is measured in the same cell
// and subtracted.
#include "harness/machine/pin_plan.h"
#include "harness/result/statistics.h"
#include "stress/bench/cycle_clock.h"
#include "stress/bench/histogram.h"
#include "stress/properties/probed_text.h"

#include <fmt/format.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_each(const ProbedText& probed, Mailbox& mailbox, int executions) {
  const auto begin = Clock::now();
  for (int i = 0; i < executions; ++i)
    (void)probed.execute(0, mailbox);
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / executions;
}

double median_of_batches(const ProbedText& probed, Mailbox& mailbox, int batches, int executions) {
  std::vector<double> samples;
  for (int i = 0; i < batches; ++i)
    samples.push_back(nanoseconds_each(probed, mailbox, executions));
  return median_of(samples);
}

Verdict run_hit(const Json& parameters, Arena&) {
  const bool full = parameters.value("full", false);
  const int batches = full ? 100 : 20;
  constexpr int kHitsPerBatch = 50;
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
  (void)nanoseconds_each(probed, mailbox,
                         kHitsPerBatch); // warm: caches, the thread's record, the kernel's nop5
  const double probed_each = median_of_batches(probed, mailbox, batches, kHitsPerBatch);
  Histogram cycles;
  for (int i = 0; i < singles; ++i) {
    const std::uint64_t begin = cycles_now();
    (void)probed.execute(0, mailbox);
    cycles.add(cycles_now() - begin);
  }
  const std::uint64_t expected = static_cast<std::uint64_t>((batches + 1) * kHitsPerBatch + singles);
  const std::uint64_t hits = probed.prober().hits(probed.site(0));
  if (hits != expected)
    return broken("wrong-count", fmt::format("{} executions, {} hits while measuring", expected, hits));
  if (const Status removed = probed.remove_all(); !removed)
    return verdict_of(removed.error());

  const auto at = [&](double share) { return static_cast<double>(cycles.percentile(share)) * nanoseconds; };
  Verdict v;
  v.summary = "measured";
  v.data = Json{{"hit_ns", probed_each - baseline},
                {"baseline_ns", baseline},
                {"hits", hits},
                {"hit_p50_ns", at(0.5)},
                {"hit_p90_ns", at(0.9)},
                {"hit_p99_ns", at(0.99)},
                {"hit_p999_ns", at(0.999)}};
  return v;
}

const bool registered = register_experiment("bench/hit", &run_hit);

} // namespace

} // namespace proberace
