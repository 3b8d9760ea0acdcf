// Judging one case: what the bare processor did against what happened with the probe.
#pragma once

#include "harness/probe/promises.h"
#include "stress/transparency/isa/bare_run.h"
#include "stress/transparency/isa/prepared_case.h"

namespace proberace {

// The end of one run, and the memory it left.
struct CaseEnd {
  RunEnd run;
  std::vector<std::uint8_t> data, stack;
};

CaseEnd run_case(BareRunner& runner, const PreparedCase& c, const CaseSpace& space);

// True if the instruction itself faulted, and is to be restarted.
bool faulted_at_site(const PreparedCase& c, const CaseEnd& end);

// The differences that the strategy promises not to make; empty if there are none.
std::vector<std::string> differences(const PreparedCase& c, const CaseSpace& space, const Promises& promises,
                                     const CaseEnd& native, const CaseEnd& probed);

} // namespace proberace
