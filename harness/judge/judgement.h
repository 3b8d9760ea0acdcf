// The ways in which executions and hits can be wrong, and the rule for one finished execution. A judge that
// watches a run and a judge that reads its log use the same rule.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/judge/site_state.h"

#include <cstdint>

namespace proberace {

enum class Fault : std::uint64_t {
  None,
  LostHit,        // armed throughout, not hit
  DoubleHit,      // hit more often than executed
  SpuriousHit,    // clear throughout, yet hit
  WrongResult,    // the body's result, or a register it must keep
  WrongRegisters, // the hit handler saw registers that were not the site's
  WrongCount,     // the prober's count is outside must..must+may
  MovedWhileClear,
  NotRestored, // bytes or mappings after removal
};

inline constexpr auto kFaultRows = enumeration<Named<Fault>>({
    {Fault::None, "none"},
    {Fault::LostHit, "lost-hit"},
    {Fault::DoubleHit, "double-hit"},
    {Fault::SpuriousHit, "spurious-hit"},
    {Fault::WrongResult, "wrong-result"},
    {Fault::WrongRegisters, "wrong-registers"},
    {Fault::WrongCount, "wrong-count"},
    {Fault::MovedWhileClear, "moved-while-clear"},
    {Fault::NotRestored, "not-restored"},
});
constexpr const auto& rows_of(Fault) noexcept {
  return kFaultRows;
}
inline constexpr std::size_t kFaultCount = kFaultRows.size();

// True if an execution between these two reads of its site's state word ran wholly while the site was armed,
// or wholly while it was clear, so that it must count or must not. All others may.
constexpr bool in_one_window(std::uint64_t before, std::uint64_t after) noexcept {
  return before == after && SiteState::quiet(before);
}

// The fault of one finished call that executed the site `passes` times and was hit `hits` times, by its ticket.
constexpr Fault judge_execution(std::uint64_t before, std::uint64_t after, std::uint64_t hits,
                                std::uint64_t passes = 1) noexcept {
  if (hits > passes)
    return Fault::DoubleHit;
  if (!in_one_window(before, after))
    return Fault::None;
  if (SiteState::armed(before))
    return hits < passes ? Fault::LostHit : Fault::None;
  return hits != 0 ? Fault::SpuriousHit : Fault::None;
}

} // namespace proberace
