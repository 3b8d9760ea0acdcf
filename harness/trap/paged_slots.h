// Out-of-line slots in pages within reach of the sites that they serve. Neighbouring sites share a page. This
// is the part that does not depend on whether the pages lie in this process or in a traced one.
//
// The pages are readable and executable, never writable; slots are written past their permissions. A slot is
// written once and never given out again; all pages go together (H12).
#pragma once

#include "harness/base/address_space.h"
#include "harness/probe/stepper.h"

#include <vector>

namespace proberace {

// Free pages of an address space next to its mappings, within a slot's reach of `near`, nearest first. At the
// end of a gap a page fits whatever the gap's size.
std::vector<Address> free_pages_near(const AddressSpace& space, Address near);
bool in_slot_reach(Address page, Address near) noexcept;

class PagedSlots : public SlotSpace {
public:
  std::expected<Address, Error> reserve(Address near, std::size_t bytes) final;
  bool contains(Address a) const noexcept;
  std::size_t slots() const noexcept { return slots_; }
  std::size_t pages() const noexcept { return pages_.size(); }

protected:
  // The space as it is now.
  virtual AddressSpace space() const = 0;
  // Maps the page: 0, or the errno that says why not. Error if no page can be mapped in that space at all.
  virtual std::expected<int, Error> map(Address page) = 0;

  // The pages are gone, or are no longer ours.
  void forget_pages() noexcept {
    pages_.clear();
    slots_ = 0;
  }
  Address last_page() const noexcept { return pages_.back().start; }
  // How many of the newest pages lie in a row from last_page() on. Precondition, as of last_page(): there are pages.
  std::size_t last_run() const noexcept;
  void drop_last_pages(std::size_t count) noexcept { pages_.resize(pages_.size() - count); }

private:
  struct Page {
    Address start{};
    std::size_t used = 0; // bytes
  };
  // True if the page is ours now.
  std::expected<bool, Error> try_page(Address page, Address near);
  Status add_page(Address near);

  std::vector<Page> pages_;
  std::size_t slots_ = 0;
};

} // namespace proberace
