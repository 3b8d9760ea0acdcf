// What a controlled run leaves in the arena's scratch. Private to program/.
#pragma once

#include "harness/cell/arena.h"
#include "harness/schedule/scheduler.h"
#include "stress/scenario/program_run.h"

namespace proberace {

struct ControlledScratch {
  ProgramScratch program;
  schedule::State schedule;
  std::atomic<std::uint64_t> schedules; // begun
};
static_assert(sizeof(ControlledScratch) <= Arena::kScratchBytes);

inline ControlledScratch& controlled_scratch(std::byte* scratch) noexcept {
  return *reinterpret_cast<ControlledScratch*>(scratch); // zero bytes are a valid one
}

} // namespace proberace
