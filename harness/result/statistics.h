// A median and its confidence interval.
#pragma once

#include <cstddef>
#include <vector>

namespace proberace {

struct Estimate {
  std::size_t n = 0;
  double median = 0;
  double low = 0;  // 95 % confidence interval of the median, by percentile bootstrap
  double high = 0; // (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13)
};

// Precondition: samples is not empty. The same samples give the same estimate.
Estimate estimate(std::vector<double> samples);

double median_of(std::vector<double> samples);

} // namespace proberace
