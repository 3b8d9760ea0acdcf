// The paths that hits take, so that a test can assert the path and not only the outcome: GDB's AVX
// displaced-stepping test passed for years while a breakpoint in its scratch pad made it fall back to in-line
// stepping.
#pragma once

#include "harness/base/enumeration.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace proberace {

enum class Path : std::size_t {
  Breakpoint,  // int3 of ours, taken to a live site
  SlotStep,    // single-stepped in an out-of-line slot
  InPlaceStep, // original byte put back, single-stepped, probe put back
  Redirected,  // the hit handler changed the PC: nothing stepped
  LostRace,    // trapped on a probe that was gone by the time it was looked up: executed again
  ForeignTrap, // a SIGTRAP that is the program's own
  SlotJump,    // ran in an out-of-line slot that ends in a jump back
  ThreadSlot,  // the same in the thread's own TLS
  StackSlot,   // the same on the thread's own stack
  Emulated,    // the displaced instruction's effect was computed
  Trampoline,  // no trap: the site was a jump
};

inline constexpr auto kPaths = enumeration<Named<Path>>({
    {Path::Breakpoint, "breakpoint"},
    {Path::SlotStep, "slot-step"},
    {Path::InPlaceStep, "in-place-step"},
    {Path::Redirected, "redirected"},
    {Path::LostRace, "lost-race"},
    {Path::ForeignTrap, "foreign-trap"},
    {Path::SlotJump, "slot-jump"},
    {Path::ThreadSlot, "thread-slot"},
    {Path::StackSlot, "stack-slot"},
    {Path::Emulated, "emulated"},
    {Path::Trampoline, "trampoline"},
});
constexpr const auto& rows_of(Path) noexcept {
  return kPaths;
}
inline constexpr std::size_t kPathCount = kPaths.size();

struct PathCounts {
  std::array<std::uint64_t, kPathCount> taken{};
  std::uint64_t operator[](Path path) const noexcept { return taken[static_cast<std::size_t>(path)]; }
};

} // namespace proberace
