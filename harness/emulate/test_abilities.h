// The abilities of a transport that the tests of emulation assume.
#pragma once
#include "harness/probe/stepper.h"

namespace proberace {

inline constexpr Abilities kInProcess{.atomic_access = true, .on_the_thread = true};
inline constexpr Abilities kSupervisor{};

} // namespace proberace
