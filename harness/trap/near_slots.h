// Out-of-line slots in this process: pages mapped within reach of the sites they serve, shared by
// neighbouring sites.
//
// The pages are mapped readable and executable, never writable; slots are written through /proc/self/mem, so
// nothing is ever writable and executable, and a no-new-executable policy (PR_SET_MDWE) is no obstacle. A
// slot is written once and never given out again; all pages go at release_all (H12).
#pragma once

#include "harness/base/address_space.h"
#include "harness/probe/stepper.h"

#include <vector>

namespace proberace {

// Free pages of an address space next to its mappings, within a slot's reach of `near`, nearest first: the
// ends of gaps are where a page fits whatever the gap's size.
std::vector<Address> free_pages_near(const AddressSpace& space, Address near);
bool in_slot_reach(Address page, Address near) noexcept;

class NearSlots final : public SlotSpace {
public:
  ~NearSlots() override { release_all(); }

  std::expected<Address, Error> reserve(Address near, std::size_t bytes) override;
  Status write(Address slot, std::span<const std::uint8_t> code) override;

  bool contains(Address a) const noexcept;

  // Precondition: no thread is in a slot, and none can be sent to one.
  void release_all() noexcept;

  std::size_t slots() const noexcept { return slots_; }
  std::size_t pages() const noexcept { return pages_.size(); }

private:
  struct Page {
    Address start{};
    std::size_t used = 0; // bytes
  };
  std::expected<Address, Error> map_page(Address near);

  std::vector<Page> pages_;
  std::size_t slots_ = 0;
};

} // namespace proberace
