#include "harness/cell/arena.h"

#include "harness/base/threads.h"

#include <algorithm>

namespace proberace {

ThreadPoint& Arena::point_for_this_thread() noexcept {
  const std::uint32_t taken = points_used.fetch_add(1, std::memory_order_relaxed); // an index only
  ThreadPoint& point = points[std::min<std::size_t>(taken, kPoints - 1)];
  point.thread.store(current_thread(), std::memory_order_relaxed); // evidence only
  return point;
}

} // namespace proberace
