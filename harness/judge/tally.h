// What one thread knows of its executions of one site: how many it started, how many must and must not have
// counted.
//
// An execution between two equal reads of the state word, with nothing in flight, must be counted if armed,
// and must not if clear. *May* is the rest: it overlapped an operation, or never finished. The judge holds a
// count to must <= hits <= must + may.
#pragma once

#include "harness/judge/judgement.h"

#include <cstdint>

namespace proberace {

// Lies in the arena: survives the thread. Written by one thread, read after it ended.
struct Tally {
  std::uint64_t started = 0;
  std::uint64_t must = 0;
  std::uint64_t must_not = 0;

  std::uint64_t may() const noexcept { return started - must - must_not; }
  bool admits(std::uint64_t hits) const noexcept { return must <= hits && hits <= must + may(); }

  Tally& operator+=(const Tally& o) noexcept {
    started += o.started;
    must += o.must;
    must_not += o.must_not;
    return *this;
  }

  // An execution has finished between two reads of its site's state word.
  void finish(std::uint64_t before, std::uint64_t after) noexcept {
    if (!in_one_window(before, after))
      return;
    ++(SiteState::armed(before) ? must : must_not);
  }
};

} // namespace proberace
