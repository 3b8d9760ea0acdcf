// A benchmark as data: the key of its row in summary.json, and the cell that measures it once.
#pragma once

#include "harness/cell/cell.h"
#include "harness/result/summary.h"

#include <vector>

namespace proberace {

// Which value of the cell's data is a row of its own.
struct Metric {
  std::string name; // metric in summary.json
  std::string unit;
  std::string key; // of the cell's data; null there if it could not be measured, which gives no row
};

struct Measurement {
  std::string suite;
  std::string case_name;
  std::string strategy;
  std::size_t threads = 1;
  std::string plan;
  std::vector<Metric> metrics;
  CellSpec cell;

  std::string name() const {
    return suite + "/" + case_name + "/" + strategy + "/" + std::to_string(threads);
  }
};

struct SuiteSize {
  std::vector<std::string> strategies; // empty: all that are registered
  int repetitions = 7;
  bool full = false;
};

// Floors, hits and insertions at the given size.
std::vector<Measurement> measurements(const SuiteSize& size);

} // namespace proberace
