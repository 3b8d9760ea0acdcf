// Growth: many sites armed at once, many sites armed in one batch, many threads on one site.
#include "harness/result/statistics.h"
#include "stress/bench/bare_trap.h"
#include "stress/bench/clocks.h"
#include "stress/bench/runners.h"

#include <barrier>
#include <chrono>
#include <fmt/format.h>
#include <thread>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

std::expected<std::unique_ptr<ProbedText>, Error> open_many(const Json& parameters, std::size_t sites) {
  constexpr std::size_t kBodiesPerPage = 32; // as dense as libraries are, not more
  std::vector<Placement> placements;
  for (std::size_t i = 0; i < sites; ++i)
    placements.push_back({body_named("mov"), i / kBodiesPerPage});
  return ProbedText::open(parameters.at("strategy"), placements);
}

// Median over batches of the cost of one execution; the sites are hit in turn, `spread` of them.
double hit_each(const ProbedText& probed, std::size_t spread, int batches, int executions) {
  Mailbox mailbox;
  std::vector<double> samples;
  std::size_t next = 0;
  for (int b = 0; b < batches; ++b) {
    const auto begin = Clock::now();
    for (int i = 0; i < executions; ++i) {
      (void)probed.execute_lightly(next, mailbox);
      next = (next + 1) % spread;
    }
    samples.push_back(nanoseconds_since(begin) / executions);
  }
  return median_of(samples);
}

// ---- many-sites: the same hit with one site armed, and with all of them.

Verdict measure_many_sites(const Json& parameters, Arena&) {
  const std::size_t sites = parameters.at("sites");
  const auto plan = make_pin_plan("same-pu", 1);
  if (!plan)
    return verdict_of(plan.error());
  (void)pin_this_thread(plan->cpus[0]);
  auto opened = open_many(parameters, sites);
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  const std::span all(probed.sites());
  if (const Status inserted = first_error(probed.prober().insert(all.first(1))); !inserted)
    return verdict_of(inserted.error());
  (void)hit_each(probed, 1, 1, 50); // warm
  const double one = hit_each(probed, 1, 40, 50);
  if (const Status inserted = first_error(probed.prober().insert(all.subspan(1))); !inserted)
    return verdict_of(inserted.error());
  const double many = hit_each(probed, 1, 40, 50);
  const double spread = hit_each(probed, sites, 40, 50);
  Verdict v = held("measured");
  v.data = Json{{"hit_one_ns", one},
                {"hit_many_ns", many},
                {"hit_spread_ns", spread},
                {"many_ratio", many / one},
                {"spread_ratio", spread / one}};
  if (const Status removed = probed.remove_all(); !removed)
    return verdict_of(removed.error());
  return v;
}

// ---- batch: one site at a time, and all at once, while a thread on another core runs code beside them.

Verdict measure_batch(const Json& parameters, Arena&) {
  const std::size_t sites = parameters.at("sites");
  const auto plan = make_pin_plan("across-cores", 2);
  if (!plan)
    return verdict_of(plan.error());
  (void)pin_this_thread(plan->cpus[0]);
  auto opened = open_many(parameters, sites + 1);
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  const std::span all = std::span(probed.sites()).first(sites);
  const Runners runner(probed, sites, std::span(plan->cpus).subspan(1, 1));
  std::vector<double> single_insert;
  std::vector<double> single_remove;
  for (std::size_t i = 0; i < 30; ++i) {
    auto begin = Clock::now();
    if (const Status inserted = first_error(probed.prober().insert(all.subspan(i, 1))); !inserted)
      return verdict_of(inserted.error());
    single_insert.push_back(nanoseconds_since(begin));
    begin = Clock::now();
    if (const Status removed = first_error(probed.prober().remove(all.subspan(i, 1))); !removed)
      return verdict_of(removed.error());
    single_remove.push_back(nanoseconds_since(begin));
  }
  auto begin = Clock::now();
  if (const Status inserted = first_error(probed.prober().insert(all.subspan(30))); !inserted)
    return verdict_of(inserted.error());
  const double insert = nanoseconds_since(begin) / static_cast<double>(sites - 30);
  begin = Clock::now();
  if (const Status removed = first_error(probed.prober().remove(all.subspan(30))); !removed)
    return verdict_of(removed.error());
  const double remove = nanoseconds_since(begin) / static_cast<double>(sites - 30);
  Verdict v = held("measured");
  v.data = Json{{"insert_single_ns", median_of(single_insert)},
                {"remove_single_ns", median_of(single_remove)},
                {"insert_each_ns", insert},
                {"remove_each_ns", remove},
                {"insert_ratio", insert / median_of(single_insert)},
                {"remove_ratio", remove / median_of(single_remove)}};
  return v;
}

// ---- scaling: how much more N threads do than one, on one site; beside the same code unprobed, and beside
// bare traps, in the same cell.

void trap(const ProbedText&, Mailbox&) {
  bare_trap();
}
void body(const ProbedText& probed, Mailbox& mailbox) {
  (void)probed.execute_lightly(0, mailbox);
}

// Executions per second of all threads together, each pinned, for about `duration`.
double throughput(const ProbedText& probed, const std::vector<int>& cpus, int per_check,
                  void (*execute)(const ProbedText&, Mailbox&)) {
  constexpr std::chrono::milliseconds kDuration{30};
  std::barrier start(static_cast<std::ptrdiff_t>(cpus.size()));
  std::vector<double> rates(cpus.size());
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < cpus.size(); ++t)
    threads.emplace_back([&, t] {
      (void)pin_this_thread(cpus[t]);
      Mailbox mailbox;
      execute(probed, mailbox); // a thread's first hit maps its record
      start.arrive_and_wait();
      const auto begin = Clock::now();
      std::uint64_t n = 0;
      while (Clock::now() - begin < kDuration)
        for (int i = 0; i < per_check; ++i, ++n)
          execute(probed, mailbox);
      rates[t] = static_cast<double>(n) / nanoseconds_since(begin) * 1e9;
    });
  threads.clear(); // joins
  double sum = 0;
  for (const double rate : rates)
    sum += rate;
  return sum;
}

struct Scaling {
  std::vector<double> one;
  std::vector<double> all;
  double factor() const { return median_of(all) / median_of(one); }
};

Verdict measure_scaling(const Json& parameters, Arena&) {
  const std::size_t threads = parameters.at("threads");
  const auto alone = make_pin_plan("same-pu", 1);
  const auto together = make_pin_plan("across-cores", threads);
  if (!alone || !together)
    return verdict_of(alone ? together.error() : alone.error());
  const Placement placement{body_named("nop5"), 0};
  auto opened = ProbedText::open(parameters.at("strategy"), {&placement, 1});
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  Scaling code;
  Scaling hits;
  Scaling traps;
  constexpr int kRounds = 5; // interleaved, because neighbours on the host come and go
  for (int round = 0; round < kRounds; ++round) {
    code.one.push_back(throughput(probed, alone->cpus, 1000, &body));
    code.all.push_back(throughput(probed, together->cpus, 1000, &body));
    {
      const BareTraps bare;
      traps.one.push_back(throughput(probed, alone->cpus, 20, &trap));
      traps.all.push_back(throughput(probed, together->cpus, 20, &trap));
    }
    if (const Status inserted = probed.insert_all(); !inserted)
      return verdict_of(inserted.error());
    hits.one.push_back(throughput(probed, alone->cpus, 20, &body));
    hits.all.push_back(throughput(probed, together->cpus, 20, &body));
    if (const Status removed = probed.remove_all(); !removed)
      return verdict_of(removed.error());
  }
  Verdict v = held("measured");
  v.data = Json{{"per_second", median_of(hits.all)},
                {"factor", hits.factor()},
                {"code_factor", code.factor()},
                {"trap_factor", traps.factor()},
                {"to_code", hits.factor() / code.factor()},
                {"to_trap", hits.factor() / traps.factor()}};
  return v;
}

const bool scale_experiment_registered = register_experiment("bench/many-sites", &measure_many_sites) &&
                                         register_experiment("bench/batch", &measure_batch) &&
                                         register_experiment("bench/scaling", &measure_scaling);

} // namespace

} // namespace proberace
