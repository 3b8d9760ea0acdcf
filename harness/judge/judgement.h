// What can be wrong with executions and hits, and the rule for one finished execution: one rule for those who
// judge while it runs and for those who read a log of it.
#pragma once

#include "harness/judge/site_state.h"

#include <array>
#include <cstdint>
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

// Whether an execution between these two reads of its site's state word ran wholly while the site was armed
// or wholly while it was clear, so that it must count or must not. All others may.
constexpr bool in_one_window(std::uint64_t before, std::uint64_t after) noexcept {
  return before == after && SiteState::quiet(before);
}

// What is wrong with one finished execution that was hit `hits` times, by its ticket.
constexpr Fault judge_execution(std::uint64_t before, std::uint64_t after, std::uint64_t hits) noexcept {
  if (hits > 1)
    return Fault::DoubleHit;
  if (!in_one_window(before, after))
    return Fault::None;
  if (SiteState::armed(before))
    return hits == 0 ? Fault::LostHit : Fault::None;
  return hits != 0 ? Fault::SpuriousHit : Fault::None;
}

} // namespace proberace
