// A sequence as machine code: a function without arguments that ends in ret, and whose every result is in the
// registers it leaves (it adds up its red zone at the end).
//
// It terminates, whatever the registers hold. It never changes DF, TF, rsp for good or memory outside the red
// zone and two pushed words; no stack address stays in a register, so that it leaves the same on every stack;
// AF, which some of its instructions leave undefined, decides nothing.
#pragma once

#include "stress/transparency/sequence/sequence.h"

namespace proberace {

struct SequenceCode {
  struct Placed {
    std::ptrdiff_t offset;
    bool repeats; // a string instruction with a rep prefix: one execution, however often it iterates
  };
  std::vector<std::uint8_t> bytes;
  std::vector<Placed> instructions;
  std::size_t of_steps = 0; // of these, the first; the rest is what every sequence ends with
};

SequenceCode assemble(const Sequence& sequence);

// Of SequenceCode::instructions, which are probed; sorted, each once.
std::vector<std::size_t> sites_of(const Sequence& sequence, const SequenceCode& code);

} // namespace proberace
