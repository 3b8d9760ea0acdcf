// A strategy judged against all it promises: one experiment per promise, each in a cell.
#pragma once

#include "harness/cell/cell.h"
#include "harness/probe/promises.h"

#include <string>
#include <vector>

namespace proberace {

struct PromiseRow {
  std::string strategy;
  Promise promise;
  bool promised = false;
  std::string verdict;  // kept, broken, not-promised, skipped
  std::string observed; // held, broken, crashed, hung, refused, skipped
  std::string reason;   // one line where it did not hold
  std::string cell;     // to run it again
};

// The cell that tries a promise of a strategy.
CellSpec promise_cell(const std::string& strategy, Promise promise);

// Preconditions: start_nursery(); `strategy` exists. A site that was refused is Refused.
Verdict observe_promise(const std::string& strategy, Promise promise);
PromiseRow try_promise(const std::string& strategy, Promise promise);

} // namespace proberace
