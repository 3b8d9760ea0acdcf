// What one thread knows of its executions of one site: how many it started, how many must and must not have
// counted.
//
// An execution between two equal reads of the state word, with nothing in flight, must be counted if armed,
// and must not if clear. *May* is the rest: it overlapped an operation, or never finished. The judge holds a
// count to must <= hits <= must + may.
#pragma once

#include "stress/properties/site_state.h"

#include <array>
#include <string_view>

namespace proberace {

enum class Fault : std::uint64_t {
  None,
  LostHit,        // armed throughout, not hit
  DoubleHit,      // hit more than once
  SpuriousHit,    // clear throughout, yet hit
  WrongResult,    // the body's result, or a register it must keep
  WrongRegisters, // the hit handler saw registers that were not the site's
  WrongCount,     // the prober's count is outside must..must+may
  MovedWhileClear,
  NotRestored, // bytes or mappings after removal
};

inline constexpr std::size_t kFaultCount = 9;

constexpr std::string_view name(Fault fault) noexcept {
  constexpr std::array<std::string_view, kFaultCount> kNames{
      "none",        "lost-hit",          "double-hit",  "spurious-hit", "wrong-result", "wrong-registers",
      "wrong-count", "moved-while-clear", "not-restored"};
  return kNames[static_cast<std::size_t>(fault)];
}

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
    if (before != after || !SiteState::quiet(before))
      return;
    ++(SiteState::armed(before) ? must : must_not);
  }
};

// What is wrong with one finished execution that was hit `hits` times, by its ticket.
constexpr Fault judge_execution(std::uint64_t before, std::uint64_t after, std::uint64_t hits) noexcept {
  if (hits > 1)
    return Fault::DoubleHit;
  if (before != after || !SiteState::quiet(before))
    return Fault::None;
  if (SiteState::armed(before))
    return hits == 0 ? Fault::LostHit : Fault::None;
  return hits != 0 ? Fault::SpuriousHit : Fault::None;
}

} // namespace proberace
