#include "harness/cell/patience.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string>

namespace proberace {

namespace {

// Fields 14 to 17 of /proc/PID/stat: in user mode and in the kernel, its own and its children's (proc(5)).
std::uint64_t ticks_of(pid_t process) {
  std::string stat;
  std::getline(std::ifstream(fmt::format("/proc/{}/stat", process)), stat);
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos)
    return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field)
    fields >> skipped;
  std::uint64_t sum = 0, ticks = 0;
  for (int field = 14; field <= 17 && fields >> ticks; ++field)
    sum += ticks;
  return sum;
}

} // namespace

// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in user's.
ProcessorTime ProcessorTime::now(pid_t process) {
  std::ifstream stat("/proc/stat");
  std::string name;
  stat >> name;
  ProcessorTime time;
  std::uint64_t ticks = 0;
  for (int column = 0; column < 8 && stat >> ticks; ++column) {
    time.all += ticks;
    const bool idle = column == 3 || column == 4;
    time.used += idle ? 0 : ticks;
  }
  time.own = ticks_of(process);
  return time;
}

std::chrono::milliseconds time_left(std::chrono::milliseconds deadline, std::chrono::milliseconds passed,
                                    const ProcessorTime& begin, const ProcessorTime& now) noexcept {
  const std::uint64_t all = now.all - begin.all;
  const std::uint64_t used = now.used - begin.used;
  const std::uint64_t others = used - std::min(used, now.own - std::min(now.own, begin.own));
  const double theirs = all == 0 ? 0 : static_cast<double>(others) / static_cast<double>(all);
  const auto counted = std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(passed.count()) * (1 - std::min(theirs, 1.0))));
  return std::min(deadline - counted, kMostPatience * deadline - passed);
}

} // namespace proberace
