// Out-of-line slots in a traced process: pages mapped there by an injected mmap, within reach of the sites
// they serve, shared by neighbouring sites. Readable and executable, never writable, and not copied to forked
// children (MADV_DONTFORK). A slot is written once and never given out again; all pages go at release_all
// (H12).
#pragma once

#include "harness/probe/stepper.h"
#include "harness/ptrace/injected_calls.h"

namespace proberace {

class TracedSlots final : public SlotSpace {
public:
  TracedSlots(const Tracees& tracees, const TracedMemory& memory, InjectedCalls& calls)
      : tracees_(tracees), memory_(memory), calls_(calls) {}

  std::expected<Address, Error> reserve(Address near, std::size_t bytes) override;
  Status write(Address slot, std::span<const std::uint8_t> code) override;

  bool contains(Address a) const noexcept;
  // Precondition: every thread is stopped, none in a slot. What could not be unmapped stays, and is said.
  Status release_all();
  // The memory they were in is gone with an exec.
  void forget() noexcept { pages_.clear(); }

  std::size_t slots() const noexcept { return slots_; }
  std::size_t pages() const noexcept { return pages_.size(); }

private:
  struct Page {
    Address start{};
    std::size_t used = 0; // bytes
  };
  std::expected<Address, Error> map_page(Address near);

  const Tracees& tracees_;
  const TracedMemory& memory_;
  InjectedCalls& calls_;
  std::vector<Page> pages_;
  std::size_t slots_ = 0;
};

} // namespace proberace
