// An armer changes the bytes of sites while other threads may be executing them: the mail's first problem.
#pragma once

#include "harness/base/address_space.h"
#include "harness/probe/facts.h"
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

// The way in which an armer reaches the target's code: in the target itself, or from a supervisor that traces
// it.
class TargetCode {
public:
  virtual ~TargetCode() = default;
  // signal-safe. 0, or an errno. Ignores page permissions. Bytes within one page are written by one copy.
  virtual int write(Address to, std::span<const std::uint8_t> bytes) noexcept = 0;
  // On return every running thread of the target has serialised its core since the call.
  virtual void serialise() noexcept = 0;
  // True in a supervisor, which can stop the target's threads by itself; false in the target.
  virtual bool from_outside() const noexcept = 0;
  // Runs `job` while no thread of the target runs. Precondition: from_outside().
  virtual Status while_stopped(void (*job)(void*) noexcept, void* argument) = 0;
};

class Armer {
public:
  virtual ~Armer() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual Promises promises() const noexcept = 0;
  virtual Facts facts() const noexcept { return {}; }

  // Precondition: `code` outlives the armer's open time.
  virtual Status open(TargetCode& code) = 0;
  // Precondition: no site is armed. Gives back all that the armer holds.
  virtual void close() {}

  // arm puts an int3 on each address of the batch, disarm puts the original byte back. A write that fails
  // sets its `error`, is not half done, and leaves the others unaffected. StaleSite from disarm means that
  // the byte there is not the armer's any more. On return the bytes are in memory, and every running thread
  // has serialised its core since. The caller serialises calls. `space` is the address space as it is now.
  virtual void arm(const AddressSpace& space, std::span<ByteWrite> batch) = 0;
  virtual void disarm(std::span<ByteWrite> batch) = 0;

  virtual Footprint footprint() const { return {}; }

  // True if another mapping lies in the place of a page while a probe is armed there (Target::site_taken).
  virtual bool replaces_pages() const noexcept { return false; }
  // True if it also works from a supervisor (TargetCode::from_outside).
  virtual bool works_from_outside() const noexcept { return false; }
};

} // namespace proberace
