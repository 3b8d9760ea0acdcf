// Where a signal frame keeps each register: its index in uc_mcontext.gregs.
#pragma once

#include "harness/code/registers.h"

#include <ucontext.h>

namespace proberace {

// signal-safe.
constexpr std::size_t greg(Register r) noexcept {
  constexpr auto kIndices = std::to_array<std::size_t>(
      {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10,
       REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL});
  static_assert(kIndices.size() == kRegisterCount);
  return kIndices[static_cast<std::size_t>(r)];
}

} // namespace proberace
