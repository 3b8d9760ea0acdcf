#include "stress/properties/own_helpers.h"

#include "harness/base/threads.h"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <unistd.h>

namespace proberace {

namespace {

// A number of a /proc status file; 0 if the line or the file is not there.
pid_t status_number(const std::string& path, const std::string& key) {
  std::ifstream status(path);
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key))
      return static_cast<pid_t>(std::atol(line.c_str() + key.size()));
  return 0;
}

} // namespace

std::vector<pid_t> own_helpers() {
  std::vector<pid_t> found;
  for (const pid_t thread : threads_of_this_process())
    if (const pid_t tracer = status_number(fmt::format("/proc/self/task/{}/status", thread), "TracerPid:\t");
        tracer > 0)
      found.push_back(tracer);
  DIR* const processes = ::opendir("/proc");
  while (const dirent* entry = ::readdir(processes)) {
    const pid_t process = static_cast<pid_t>(std::atol(entry->d_name));
    if (process > 0 && status_number(fmt::format("/proc/{}/status", process), "PPid:\t") == ::getpid())
      found.push_back(process);
  }
  ::closedir(processes);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

} // namespace proberace
