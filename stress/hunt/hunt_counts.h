// The counts of a hunt's cells, added up.
#pragma once

#include "harness/cell/verdict.h"

#include <cstdint>

namespace proberace {

struct HuntCounts {
  std::uint64_t executions = 0, must = 0, may = 0, must_not = 0, hits = 0, inserted = 0, removed = 0;

  // `data` of one cell's verdict; what it does not say is 0.
  void add(const Json& data) {
    for_each(*this, [&](const char* key, std::uint64_t& sum) { sum += data.value(key, std::uint64_t{0}); });
  }
  Json json() const {
    Json j = Json::object();
    for_each(*this, [&](const char* key, std::uint64_t sum) { j[key] = sum; });
    return j;
  }

private:
  template <typename Counts, typename F> static void for_each(Counts& c, F&& f) {
    f("executions", c.executions);
    f("must", c.must);
    f("may", c.may);
    f("must_not", c.must_not);
    f("hits", c.hits);
    f("inserted", c.inserted);
    f("removed", c.removed);
  }
};

} // namespace proberace
