// Runs a sequence's code from given registers on this thread, and says what it left; and counts, by the
// processor's own single-stepping, how often it executes each instruction.
#pragma once

#include "harness/base/address.h"
#include "stress/transparency/sequence/sequence_code.h"

namespace proberace {

// The registers that go in and come out. The assembly in sequence_run.cpp knows the layout.
struct SequenceState {
  std::array<std::uint64_t, 16> registers{}; // in the manual's order; rsp is not given, and not compared
  std::uint64_t flags = 0;
  std::array<std::array<std::uint64_t, 2>, 4> vectors{}; // xmm0 to xmm3
  friend bool operator==(const SequenceState&, const SequenceState&) = default;
};

// Each register, the flags and each vector that differ, in words; "" if the two are equal.
std::string differences(const SequenceState& bare, const SequenceState& probed);

// Registers, flags and vectors as a seed has them.
SequenceState random_state(std::uint64_t seed);

// On a cleared red zone. Precondition: code that assemble() wrote lies at `entry`.
SequenceState run_sequence(Address entry, const SequenceState& from);

struct CountedRun {
  SequenceState end;
  std::vector<std::uint64_t> executions; // by instruction
};

// The same under the trap flag (SDM vol. 3B, 18.3.1.4), with a SIGTRAP handler of its own meanwhile: no
// prober may be open. One thread at a time.
CountedRun count_sequence(Address entry, const SequenceCode& code, const SequenceState& from);

} // namespace proberace
