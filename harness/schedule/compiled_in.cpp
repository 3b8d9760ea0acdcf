// Compiled twice, like the files that have schedule points.
#include "harness/schedule/point.h"
#include "harness/schedule/scheduler.h"

namespace proberace::schedule {

bool points_compiled_in() noexcept {
  return kPoints;
}

} // namespace proberace::schedule
