// Compiled twice, like what has points.
#include "harness/schedule/point.h"
#include "harness/schedule/scheduler.h"

namespace proberace::schedule {

bool points_compiled_in() noexcept {
  return kPoints;
}

} // namespace proberace::schedule
