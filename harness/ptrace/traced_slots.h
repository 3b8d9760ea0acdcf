// Out-of-line slots in a traced process: pages mapped there by an injected mmap, and not copied to forked
// children (MADV_DONTFORK).
#pragma once

#include "harness/ptrace/injected_calls.h"
#include "harness/trap/paged_slots.h"

namespace proberace {

class TracedSlots final : public PagedSlots {
public:
  TracedSlots(const Tracees& tracees, const TracedMemory& memory, InjectedCalls& calls)
      : tracees_(tracees), memory_(memory), calls_(calls) {}

  Status write(Address slot, std::span<const std::uint8_t> code) override;
  // Precondition: every thread is stopped, none in a slot. What could not be unmapped stays, and is said.
  Status release_all();
  // The memory they were in is gone with an exec.
  void forget() noexcept { forget_pages(); }

private:
  AddressSpace space() const override { return AddressSpace::read(tracees_.process()); }
  std::expected<int, Error> map(Address page) override;

  const Tracees& tracees_;
  const TracedMemory& memory_;
  InjectedCalls& calls_;
};

} // namespace proberace
