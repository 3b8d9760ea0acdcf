// May this site be probed? Every prober asks here first, so that all of them refuse the same sites in the
// same words.
#pragma once

#include "harness/base/code_pages.h"
#include "harness/code/decode.h"
#include "harness/code/target.h"

#include <map>

namespace proberace {

// Not thread-safe: one per prober, called under its lock.
class Admission {
public:
  explicit Admission(const Target& target)
      : target_(target), pages_([&target](Address from, std::span<std::uint8_t> out) {
          return target.read(from, out); // the target's own bytes
        }) {}

  // Before each batch: code is read page by page, and each page once a batch.
  void begin_batch() { pages_.clear(); }

  // The instruction at the site. NotMapped, NotExecutable, OutsideFunction, StaleSite, NotABoundary,
  // AlreadyInt3, Conflict.
  std::expected<Instruction, Error> admit(const AddressSpace& space, const Site& site);

private:
  const std::vector<bool>& boundaries(const AddressSpace& space, const FunctionRange& function);

  const Target& target_;
  CodePages pages_;
  std::map<std::pair<Address, std::uint64_t>, std::vector<bool>> boundaries_; // by function and generation
};

} // namespace proberace
