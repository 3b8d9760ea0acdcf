// The properties that a scenario can break, by the names that verdicts and `--property` use.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/cell/verdict.h"
#include "harness/judge/judgement.h"

#include <string>
#include <vector>

namespace proberace {

enum class BrokenProperty {
  ArmedState,           // an operation was told that the site is armed, or clear, and it was not
  Deadlock,             // no thread can run, and not all have ended
  FatalFault,           // a fault whose signal is ignored or blocked did not end the program
  FaultMask,            // a fault's handler saw another signal mask than the thread's own
  FaultsSeeOriginalPc,  // a fault's handler saw a PC that is no site
  ForkSafe,             // a forked child died, or had a wrong result
  HandledAfterRemoval,  // the hit handler was called for a site whose removal had returned
  LostSignal,           // a signal that was sent was not handled
  Mprotect,             // the program's own mprotect of its code failed
  OwnTrapsDelivered,    // the program's own int3 did not reach its handler
  Progress,             // a schedule has no end
  Refused,              // an operation failed for a reason that lies not in the site
  Removal,              // a probe that is armed could not be removed
  SharedMemory,         // a sum of words that threads share is wrong
  SignalState,          // a thread's signal mask or alternate stack is not what it was
  SignalsSeeOriginalPc, // a signal's handler saw a PC in a slot
  VforkSafe,            // a child that shares the memory died, or had a wrong result
};

inline constexpr auto kBrokenProperties = enumeration<Named<BrokenProperty>>({
    {BrokenProperty::ArmedState, "armed-state"},
    {BrokenProperty::Deadlock, "deadlock"},
    {BrokenProperty::FatalFault, "fatal-fault"},
    {BrokenProperty::FaultMask, "fault-mask"},
    {BrokenProperty::FaultsSeeOriginalPc, "faults-see-original-pc"},
    {BrokenProperty::ForkSafe, "fork-safe"},
    {BrokenProperty::HandledAfterRemoval, "handled-after-removal"},
    {BrokenProperty::LostSignal, "lost-signal"},
    {BrokenProperty::Mprotect, "mprotect"},
    {BrokenProperty::OwnTrapsDelivered, "own-traps-delivered"},
    {BrokenProperty::Progress, "progress"},
    {BrokenProperty::Refused, "refused"},
    {BrokenProperty::Removal, "removal"},
    {BrokenProperty::SharedMemory, "shared-memory"},
    {BrokenProperty::SignalState, "signal-state"},
    {BrokenProperty::SignalsSeeOriginalPc, "signals-see-original-pc"},
    {BrokenProperty::VforkSafe, "vfork-safe"},
});
constexpr const auto& rows_of(BrokenProperty) noexcept {
  return kBrokenProperties;
}

inline std::string property_name(BrokenProperty property) {
  return std::string(name(property));
}
inline std::string property_name(Fault fault) {
  return std::string(name(fault));
}

// Those, the faults that executions show, and the endings of a process that did not survive.
inline std::vector<std::string> broken_properties() {
  std::vector<std::string> names;
  for (const auto& row : kBrokenProperties)
    names.emplace_back(row.name);
  for (const auto& row : kFaultRows)
    if (row.value != Fault::None)
      names.emplace_back(row.name);
  for (const Ending ending : {Ending::Crashed, Ending::Hung})
    names.emplace_back(name(ending));
  return names;
}

} // namespace proberace
