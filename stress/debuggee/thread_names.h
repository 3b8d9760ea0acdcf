// The names of a program's threads (/proc/PID/task/TID/comm).
#pragma once

#include <map>
#include <string>
#include <sys/types.h>

namespace proberace {

class ThreadNames {
public:
  // Notes the names that the process' threads have now. Threads that have ended keep the one that was seen last.
  void look(pid_t process);
  const std::map<pid_t, std::string>& all() const noexcept { return names_; }
  // "" if it was never seen.
  std::string of(pid_t thread) const;

private:
  std::map<pid_t, std::string> names_;
};

} // namespace proberace
