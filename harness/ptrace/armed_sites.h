// Arms and disarms the sites of a traced process.
//
// The supervisor's one thread handles traps only between two calls, so no lock and no quiescence is needed.
#pragma once

#include "harness/probe/armer.h"
#include "harness/probe/batch.h"
#include "harness/probe/prober.h"
#include "harness/probe/stepper.h"
#include "harness/ptrace/traced_memory.h"
#include "harness/ptrace/traced_sites.h"
#include "harness/ptrace/tracees.h"

#include <functional>

namespace proberace {

class ArmedSites {
public:
  struct Placement {
    Site site;
    Instruction instruction; // the one that is there, without our probes
  };

  // `armer` and `stepper` may be null if no site is ever armed.
  ArmedSites(Tracees& tracees, const TracedMemory& memory, SlotSpace& slots, TracedSites& sites, Armer* armer,
             Stepper* stepper)
      : tracees_(tracees), memory_(memory), slots_(slots), sites_(sites), armer_(armer), stepper_(stepper) {}

  // `serve`, which may be empty, is called after every few plans, before anything is written. Threads that stop at a
  // signal then do not wait for all plans.
  SiteResults arm(std::span<const Placement> placements, const std::function<void()>& serve);
  SiteResults disarm(std::span<const Site> sites);
  // The sites that are armed now.
  std::vector<Site> armed() const;

private:
  std::expected<TracedSite*, Error> record_for(const Placement& placement);
  static bool refuse_if_gone(Batch<ByteWrite, TracedSite*>& batch);
  bool still_mapped(const AddressSpace& space, const Site& site) const;

  Tracees& tracees_;
  const TracedMemory& memory_;
  SlotSpace& slots_;
  TracedSites& sites_;
  Armer* const armer_;
  Stepper* const stepper_;
};

} // namespace proberace
