// Counts of a hunt's cells, added up over them.
#pragma once

#include "harness/base/json_fields.h"

#include <cstdint>

namespace proberace {

struct HuntCounts {
  std::uint64_t executions = 0, must = 0, may = 0, must_not = 0, hits = 0, inserted = 0, removed = 0;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("executions", self.executions);
    field("must", self.must);
    field("may", self.may);
    field("must_not", self.must_not);
    field("hits", self.hits);
    field("inserted", self.inserted);
    field("removed", self.removed);
  }

  // `data` of one cell's verdict; a count that it lacks is 0.
  void add(const Json& data) {
    fields(*this, [&](const char* key, std::uint64_t& sum) { sum += data.value(key, std::uint64_t{0}); });
  }
  Json json() const { return write_fields(*this); }
};

} // namespace proberace
