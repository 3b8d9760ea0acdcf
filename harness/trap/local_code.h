// This process' own code, as armers reach it from inside.
#pragma once

#include "harness/base/failure.h"
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/probe/armer.h"

namespace proberace {

class LocalCode final : public TargetCode {
public:
  int write(Address to, std::span<const std::uint8_t> bytes) noexcept override {
    return write_code(to, bytes);
  }
  void serialise() noexcept override { serialise_cores(); }
  bool from_outside() const noexcept override { return false; }
  Status while_stopped(void (*)(void*) noexcept, void*) override {
    return failure(ErrorKind::Unsupported, "a thread cannot stop its own process' threads");
  }
};

} // namespace proberace
