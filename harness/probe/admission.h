// May this site be probed? Every prober asks here first, so that what is refused is refused alike, with the
// same words.
#pragma once

#include "harness/probe/decode.h"
#include "harness/probe/target.h"

#include <map>
#include <optional>

namespace proberace {

// Not thread-safe: one per prober, called under its lock.
class Admission {
public:
  explicit Admission(const Target& target) : target_(target) {}

  // Before each batch: code is read page by page, and each page once a batch.
  void begin_batch() { pages_.clear(); }

  // The instruction at the site. NotMapped, NotExecutable, OutsideFunction, StaleSite, NotABoundary,
  // AlreadyInt3, Conflict.
  std::expected<Instruction, Error> admit(const AddressSpace& space, const Site& site);

private:
  const std::vector<bool>& boundaries(const FunctionRange& function);

  // Of the target's own bytes; false if any is not readable.
  bool read(Address from, std::span<std::uint8_t> out);

  using Page = std::array<std::uint8_t, kPageBytes>;
  const Target& target_;
  std::map<Address, std::optional<Page>> pages_;                              // none where it is not readable
  std::map<std::pair<Address, std::uint64_t>, std::vector<bool>> boundaries_; // by function and generation
};

} // namespace proberace
