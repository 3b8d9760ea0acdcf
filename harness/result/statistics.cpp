#include "harness/result/statistics.h"

#include <algorithm>
#include <random>

namespace proberace {

namespace {
constexpr std::size_t kResamples = 2000;
constexpr double kTail = 0.025; // on each side
} // namespace

double median_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  return n % 2 == 1 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

Estimate estimate(std::vector<double> samples) {
  std::mt19937_64 random(samples.size()); // NOLINT(cert-msc51-cpp): repeatable on purpose
  std::uniform_int_distribution<std::size_t> pick(0, samples.size() - 1);
  std::vector<double> medians;
  std::vector<double> resample(samples.size());
  for (std::size_t i = 0; i < kResamples; ++i) {
    for (double& value : resample)
      value = samples[pick(random)];
    medians.push_back(median_of(resample));
  }
  std::sort(medians.begin(), medians.end());
  const auto at = [&](double share) {
    return medians[static_cast<std::size_t>(share * static_cast<double>(kResamples - 1))];
  };
  return {samples.size(), median_of(samples), at(kTail), at(1 - kTail)};
}

} // namespace proberace
