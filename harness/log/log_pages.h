// The JSON around the blocks of a hit log: a page before them and, once the log was closed, a page behind them.
#pragma once

#include "harness/base/fields.h"
#include "harness/log/hit_record.h"

#include <cstdint>
#include <vector>

namespace proberace {

// Two of these, some time apart, tell how long a tick is.
struct LogClock {
  std::uint64_t ticks = 0; // of the time-stamp counter
  std::int64_t ns = 0;     // of the steady clock

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("ticks", self.ticks);
    field("ns", self.ns);
  }
};

// Followed by what the log is about, in fields of its own.
struct LogHeader {
  std::size_t block_bytes = kBlockBytes;
  std::size_t record_bytes = sizeof(HitRecord);
  LogClock clock{};

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/log/1"});
    field("block_bytes", self.block_bytes);
    field("record_bytes", self.record_bytes);
    field("clock", self.clock);
  }
};

struct LogTrailer {
  struct Thread {
    std::uint64_t records = 0; // that it wrote
    std::uint64_t untold = 0;  // dropped after the last loss that the log tells of

    template <class Self, class Field> static void fields(Self& self, Field&& field) {
      field("records", self.records);
      field("untold", self.untold);
    }
  };

  std::uint64_t lost = 0;
  std::vector<Thread> threads{};
  LogClock clock{};

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("end", Schema{"proberace/log/1"});
    field("lost", self.lost);
    field("threads", self.threads);
    field("clock", self.clock);
  }
};

} // namespace proberace
