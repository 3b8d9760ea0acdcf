// An armer changes the bytes of sites while other threads may be executing them: the mail's first problem.
#pragma once

#include "harness/base/address_space.h"
#include "harness/probe/footprint.h"
#include "harness/probe/promises.h"

#include <optional>
#include <span>
#include <string_view>

namespace proberace {

struct ByteWrite {
  Address address{};
  std::uint8_t original = 0; // the displaced instruction's first byte
  std::optional<Error> error{};
};

class Armer {
public:
  virtual ~Armer() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual Promises promises() const noexcept = 0;

  virtual Status open() { return {}; }
  // Precondition: nothing is armed. Gives back all the armer holds.
  virtual void close() {}

  // Puts int3 on (arm), or the original byte back on (disarm), each address of the batch. A write that fails
  // says so in its `error`, is not half done, and leaves the others unaffected. On return the bytes are in
  // memory and every running thread has serialised its core since. Calls are serialised by the caller.
  // `space` is of now.
  virtual void arm(const AddressSpace& space, std::span<ByteWrite> batch) = 0;
  virtual void disarm(std::span<ByteWrite> batch) = 0;

  virtual Footprint footprint() const { return {}; }
};

} // namespace proberace
