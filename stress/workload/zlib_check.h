// Real input judged: the zlib experiment under a strategy, and its counts beside the reference peer's for the
// same sites.
#pragma once

#include "harness/cell/cell.h"

#include <string>
#include <vector>

namespace proberace {

struct ZlibOptions {
  std::string strategy;
  std::size_t threads = 2;
  std::size_t sites = 240;
  std::size_t bytes_per_file = 0; // 0 for all
  std::string plan = "across-cores";
  std::string symbol; // only this function's instructions; "" for the whole library
};

struct ZlibComparison {
  Verdict own;
  Verdict peer; // of the reference peer
  std::size_t compared = 0;
  std::size_t equal = 0;
  std::vector<std::string> differing; // one line per site
  std::vector<std::string> refused;   // one line per site and strategy
};

// Precondition: start_nursery().
ZlibComparison check_zlib(const ZlibOptions& options);

} // namespace proberace
