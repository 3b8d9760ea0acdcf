// The code of a traced process, as armers reach it from a supervisor.
//
// membarrier reaches only the threads of the process that calls it, so the traced process is made to call it
// (injected_calls.h). SYNC_CORE serialises every core that runs one of its threads, and threads that are
// stopped serialise before they continue. The kernel's note that the process uses membarrier stays until it
// execs or ends.
#pragma once

#include "harness/probe/armer.h"
#include "harness/ptrace/injected_calls.h"

namespace proberace {

class TracedCode final : public TargetCode {
public:
  TracedCode(Tracees& tracees, const TracedMemory& memory, InjectedCalls& calls)
      : tracees_(tracees), memory_(memory), calls_(calls) {}

  int write(Address to, std::span<const std::uint8_t> bytes) noexcept override;
  void serialise() noexcept override;
  bool from_outside() const noexcept override { return true; }
  // The threads stay stopped, and their stops are still to be handled, so that a batch does not stop them
  // twice.
  Status while_stopped(void (*job)(void*) noexcept, void* argument) override;

  // After an exec: the note is gone.
  void forget() noexcept { registered_ = false; }

private:
  using Call = std::expected<long, Error> (InjectedCalls::*)(long, const InjectedCalls::Arguments&);
  bool barrier(Call call);

  Tracees& tracees_;
  const TracedMemory& memory_;
  InjectedCalls& calls_;
  bool registered_ = false;
  bool serialised_ = true; // since the last write
};

} // namespace proberace
