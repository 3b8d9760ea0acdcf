// Out-of-line slots in a traced process. An injected mmap maps their pages, and forked children get no copy
// of them (MADV_DONTFORK).
#pragma once

#include "harness/ptrace/injected_calls.h"
#include "harness/trap/paged_slots.h"

namespace proberace {

class TracedSlots final : public PagedSlots {
public:
  TracedSlots(const Tracees& tracees, const TracedMemory& memory, InjectedCalls& calls)
      : tracees_(tracees), memory_(memory), calls_(calls) {}

  Status write(Address slot, std::span<const std::uint8_t> code) override;
  // Precondition: every thread is stopped, none in a slot. The error names pages that could not be unmapped
  // and stay.
  Status release_all();
  // After an exec: their memory is gone.
  void forget() noexcept { forget_pages(); }

private:
  AddressSpace space() const override { return memory_.space(); }
  std::expected<int, Error> map(Address page) override;

  const Tracees& tracees_;
  const TracedMemory& memory_;
  InjectedCalls& calls_;
};

} // namespace proberace
