// For tests: the processor's own answer to what one instruction does.
//
// Idea: an int3 brings the thread into a signal handler, which puts the wanted registers into the frame and
// sets TF; the instruction runs on the bare processor, and whatever ends it, the debug trap or a fault, is
// another signal whose frame holds the answer. So every register, rsp and the PC included, can have any value
// and end anywhere. Not for two threads at once.
#pragma once

#include "harness/probe/trap_context.h"

#include <array>
#include <memory>
#include <optional>

namespace proberace {

using RegisterFile = std::array<std::uint64_t, kRegisterCount>; // by Register

struct NativeStep {
  RegisterFile after{}; // at the fault, if there was one
  std::optional<HardwareFault> fault{};
};

// Handlers for the signals an instruction can raise, on a stack of their own, while it lives.
class NativeStepper {
public:
  NativeStepper();
  ~NativeStepper();
  NativeStepper(const NativeStepper&) = delete;
  NativeStepper& operator=(const NativeStepper&) = delete;

  // Executes the instruction at registers[Rip] with these registers.
  NativeStep step(const RegisterFile& registers);

private:
  struct Installed;
  std::unique_ptr<Installed> installed_;
};

} // namespace proberace
