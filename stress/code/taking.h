// Which bodies a strategy must take: a refusal of another one is no fault.
#pragma once

#include "harness/probe/facts.h"
#include "harness/probe/promises.h"
#include "stress/code/body.h"

namespace proberace {

// False if the strategy takes its probed instruction and does not promise a right count and result. A hunt that
// executed it would find nothing else.
inline bool is_counted_right(const Body& body, const Promises& promised) noexcept {
  return (!body.has(BodyTrait::Repeats) || promised.has(Promise::RepeatsCountOnce)) &&
         (!body.has(BodyTrait::RedZone) || promised.has(Promise::RedZoneIntact));
}

// False if its probed instruction is of a kind that the strategy does not promise to take.
inline bool is_promised(const Body& body, const Promises& promised) noexcept {
  return (!body.has(BodyTrait::RipRelative) || promised.has(Promise::RipRelative)) &&
         (!body.has(BodyTrait::ControlFlow) || promised.has(Promise::AllControlFlow)) &&
         is_counted_right(body, promised) &&
         ((!body.has(BodyTrait::StackPointer) && !body.has(BodyTrait::StackAddress)) ||
          promised.has(Promise::StackOperands));
}

inline bool must_take(const Body& body, const Promises& promised, const Facts& facts) noexcept {
  // The kernel's uprobes refuse the lock prefix. A supervisor has no atomic access to its target's memory.
  const bool atomic_is_hard = facts.handled_by == HandledBy::Kernel || facts.selective;
  if (body.has(BodyTrait::Locked) && facts.handled_by != HandledBy::Thread && atomic_is_hard)
    return false;
  // Whether a jump fits into less than five bytes depends on the neighbours.
  const bool jumps = facts.traps == Traps::NoHit;
  const bool awkward = body.has(BodyTrait::Awkward) || (jumps && !body.has(BodyTrait::Roomy));
  return is_promised(body, promised) && !(facts.selective && awkward);
}

} // namespace proberace
