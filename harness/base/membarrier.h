// membarrier(2): the heavy half of two asymmetric pairs.
//
// - serialise_cores: MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE. When it returns, every running thread of this
//   process has executed a core-serialising instruction, so no core still holds bytes it fetched before (SDM
//   vol. 3A, 9.1.3 "Handling Self- and Cross-Modifying Code"; kernel/sched/membarrier.c).
// - heavy_fence: MEMBARRIER_CMD_PRIVATE_EXPEDITED. A full fence on every running thread; lets the hit path do
//   without one.
#pragma once

#include "harness/base/error.h"

namespace proberace {

// Registers this process for both; cheap when already registered. MachineLacks where the kernel has no such
// command.
Status register_membarriers();

// Precondition: register_membarriers() succeeded. Thread-safe.
void serialise_cores() noexcept;
void heavy_fence() noexcept;

} // namespace proberace
