#include "stress/promises/own_helpers.h"

#include "harness/base/threads.h"
#include "harness/ptrace/proc_status.h"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <unistd.h>

namespace proberace {

namespace {

// 0 if the process is gone.
pid_t parent_of(pid_t process) {
  constexpr std::string_view kKey = "PPid:\t";
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(kKey))
      return static_cast<pid_t>(std::atol(line.c_str() + kKey.size()));
  return 0;
}

} // namespace

std::vector<pid_t> own_helpers() {
  std::vector<pid_t> found;
  for (const pid_t thread : threads_of_this_process())
    if (const pid_t tracer = tracer_of(thread); tracer > 0)
      found.push_back(tracer);
  DIR* const processes = ::opendir("/proc");
  while (const dirent* entry = ::readdir(processes)) {
    const pid_t process = static_cast<pid_t>(std::atol(entry->d_name));
    if (process > 0 && parent_of(process) == ::getpid())
      found.push_back(process);
  }
  ::closedir(processes);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

} // namespace proberace
