#include "stress/debuggee/thread_names.h"

#include "harness/ptrace/proc_status.h"

#include <fmt/format.h>
#include <fstream>

namespace proberace {

void ThreadNames::look(pid_t process) {
  for (const pid_t thread : threads_of(process))
    if (std::string name;
        std::getline(std::ifstream(fmt::format("/proc/{}/task/{}/comm", process, thread)), name))
      names_[thread] = name;
}

std::string ThreadNames::of(pid_t thread) const {
  const auto found = names_.find(thread);
  return found != names_.end() ? found->second : std::string{};
}

} // namespace proberace
