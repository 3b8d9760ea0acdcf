// Out-of-line slots in this process. They are written through /proc/self/mem, so no page is ever both
// writable and executable, and a policy against new executable memory (PR_SET_MDWE) is no obstacle.
#pragma once

#include "harness/base/pending_code.h"
#include "harness/trap/paged_slots.h"

namespace proberace {

class NearSlots final : public PagedSlots {
public:
  ~NearSlots() override { release_all(); }

  // The code is kept until `flush`, so that neighbouring slots of a batch are written by one call.
  Status write(Address slot, std::span<const std::uint8_t> code) override;
  // On success all code that was ever written is in memory. Call it before any thread is sent to a slot.
  Status flush() { return pending_.flush(); }
  // Precondition: no thread is in a slot, and none can be sent to one.
  void release_all() noexcept;

private:
  AddressSpace space() const override { return AddressSpace::read(); }
  std::expected<int, Error> map(Address page) override;

  PendingCode pending_;
};

} // namespace proberace
