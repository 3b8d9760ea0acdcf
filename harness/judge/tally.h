// One thread's executions of one site: how many it started, how many of them must and must not have counted.
//
// If a thread reads the same state word before and after an execution, with nothing in flight, the site was
// armed or clear throughout: the execution must count, or must not. *May* is the rest: executions that
// overlapped an operation or never finished. The judge requires must <= hits <= must + may.
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

  // So many executions have finished between two reads of their site's state word.
  void finish(std::uint64_t before, std::uint64_t after, std::uint64_t executions = 1) noexcept {
    if (in_one_window(before, after))
      (SiteState::armed(before) ? must : must_not) += executions;
  }
};

} // namespace proberace
