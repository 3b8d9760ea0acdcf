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

// How an armer reaches the target's code: in the target itself, or from a supervisor that traces it.
class TargetCode {
public:
  virtual ~TargetCode() = default;
  // 0, or an errno. Past page permissions; bytes within one page are written by one copy. signal-safe.
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

  // `code` outlives the armer's open time.
  virtual Status open(TargetCode& code) = 0;
  // Precondition: nothing is armed. Gives back all the armer holds.
  virtual void close() {}

  // Puts int3 on (arm), or the original byte back on (disarm), each address of the batch. A write that fails
  // says so in its `error`, is not half done, and leaves the others unaffected; StaleSite from disarm says
  // that the byte is not the armer's any more, whatever it is. On return the bytes are in memory and every
  // running thread has serialised its core since. Calls are serialised by the caller. `space` is of now.
  virtual void arm(const AddressSpace& space, std::span<ByteWrite> batch) = 0;
  virtual void disarm(std::span<ByteWrite> batch) = 0;

  virtual Footprint footprint() const { return {}; }

  // Whether it also works from a supervisor (TargetCode::from_outside).
  virtual bool works_from_outside() const noexcept { return false; }
};

} // namespace proberace
