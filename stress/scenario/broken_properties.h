// The names of the properties that a scenario can break.
#pragma once

#include "harness/cell/verdict.h"
#include "harness/judge/judgement.h"

#include <array>
#include <string>
#include <vector>

namespace proberace {

namespace broken_property {

inline constexpr const char* kArmedState = "armed-state";
inline constexpr const char* kDeadlock = "deadlock";
inline constexpr const char* kFaultsSeeOriginalPc = "faults-see-original-pc";
inline constexpr const char* kForkSafe = "fork-safe";
inline constexpr const char* kHandledAfterRemoval = "handled-after-removal";
inline constexpr const char* kLostSignal = "lost-signal";
inline constexpr const char* kMprotect = "mprotect";
inline constexpr const char* kOwnTrapsDelivered = "own-traps-delivered";
inline constexpr const char* kProgress = "progress";
inline constexpr const char* kRefused = "refused";
inline constexpr const char* kRemoval = "removal";
inline constexpr const char* kSignalsSeeOriginalPc = "signals-see-original-pc";
inline constexpr const char* kVforkSafe = "vfork-safe";

inline constexpr std::array kAll{kArmedState,
                                 kDeadlock,
                                 kFaultsSeeOriginalPc,
                                 kForkSafe,
                                 kHandledAfterRemoval,
                                 kLostSignal,
                                 kMprotect,
                                 kOwnTrapsDelivered,
                                 kProgress,
                                 kRefused,
                                 kRemoval,
                                 kSignalsSeeOriginalPc,
                                 kVforkSafe};

} // namespace broken_property

// Those, what executions show (judgement.h), and the endings of a process that did not survive.
inline std::vector<std::string> broken_properties() {
  std::vector<std::string> names(broken_property::kAll.begin(), broken_property::kAll.end());
  for (std::size_t i = 1; i < kFaultCount; ++i)
    names.emplace_back(name(static_cast<Fault>(i)));
  for (const Ending ending : {Ending::Crashed, Ending::Hung})
    names.emplace_back(name(ending));
  return names;
}

} // namespace proberace
