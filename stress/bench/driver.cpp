#include "stress/bench/driver.h"

#include "harness/probe/roles.h"
#include "harness/result/statistics.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <map>

namespace proberace {

namespace {

struct Samples {
  std::map<std::string, std::vector<double>> by_key; // of the cell's data
  std::string failure;                               // why a repetition gave none
};

// Google Benchmark's own table would be of cells, not of operations: the rows are made from the samples
// instead.
class Silent final : public benchmark::BenchmarkReporter {
public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

void take(const Measurement& m, const Verdict& v, Samples& samples) {
  if (!v.is(Ending::Held)) {
    samples.failure = fmt::format("{}: {}", name(v.ending), v.summary);
    return;
  }
  for (const Metric& metric : m.metrics)
    if (const Json& value = v.data.at(metric.key); !value.is_null())
      samples.by_key[metric.key].push_back(value);
}

void add_rows(const Measurement& m, const Samples& samples, BenchOutcome& outcome) {
  if (!samples.failure.empty())
    outcome.skipped.push_back(fmt::format("{}: {}", m.name(), samples.failure));
  for (const Metric& metric : m.metrics) {
    const auto values = samples.by_key.find(metric.key);
    if (values == samples.by_key.end())
      continue;
    const Estimate e = estimate(values->second);
    outcome.summary.measured.push_back({m.suite, m.case_name, m.strategy, m.threads, m.plan, metric.name,
                                        metric.unit, e.n, e.median, e.low, e.high, std::nullopt,
                                        std::nullopt});
  }
}

} // namespace

BenchOutcome run_measurements(const std::vector<Measurement>& all, int repetitions,
                              const std::function<void(const Repetition&)>& each) {
  std::vector<Samples> samples(all.size());
  std::size_t done = 0;
  const std::size_t total = all.size() * static_cast<std::size_t>(repetitions);
  benchmark::ClearRegisteredBenchmarks();
  for (std::size_t i = 0; i < all.size(); ++i)
    benchmark::RegisterBenchmark(all[i].name().c_str(),
                                 [&, i](benchmark::State& state) {
                                   for ([[maybe_unused]] auto _ : state) {
                                     const Verdict verdict = run_cell(all[i].cell);
                                     take(all[i], verdict, samples[i]);
                                     state.SetIterationTime(verdict.data.value("cell_seconds", 0.0));
                                     each({all[i], verdict, ++done, total});
                                   }
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Repetitions(repetitions);
  std::string program = "proberace";
  std::string interleave = "--benchmark_enable_random_interleaving=true";
  char* arguments[] = {program.data(), interleave.data(), nullptr};
  int count = 2;
  benchmark::Initialize(&count, arguments);
  Silent reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();

  BenchOutcome outcome;
  for (std::size_t i = 0; i < all.size(); ++i)
    add_rows(all[i], samples[i], outcome);
  fill_ratios(outcome.summary, holder_of(Role::ReferencePeer));
  return outcome;
}

} // namespace proberace
