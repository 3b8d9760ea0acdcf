// Which bodies a strategy must take: a refusal of another one is no fault.
#pragma once

#include "harness/probe/facts.h"
#include "harness/probe/promises.h"
#include "stress/code/body.h"

namespace proberace {

// False if its probed instruction is of a kind that the strategy does not promise to take.
inline bool is_promised(const Body& body, const Promises& promised) noexcept {
  return (!body.has(BodyTrait::RipRelative) || promised.has(Promise::RipRelative)) &&
         (!body.has(BodyTrait::ControlFlow) || promised.has(Promise::AllControlFlow)) &&
         ((!body.has(BodyTrait::StackPointer) && !body.has(BodyTrait::StackAddress)) ||
          promised.has(Promise::StackOperands));
}

inline bool must_take(const Body& body, const Promises& promised, const Facts& facts) noexcept {
  // A supervisor has no atomic access to its target's memory.
  const bool too_hard = body.has(BodyTrait::Awkward) ||
                        (body.has(BodyTrait::Locked) && facts.handled_by == HandledBy::Supervisor);
  // Whether a jump fits into less depends on the neighbours.
  const bool jumps = facts.traps == Traps::NoHit;
  return is_promised(body, promised) &&
         !(facts.selective && (too_hard || (jumps && !body.has(BodyTrait::Roomy))));
}

} // namespace proberace
