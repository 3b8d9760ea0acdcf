#include "harness/ptrace/proc_status.h"

#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

namespace proberace {

namespace {

// The value of one line of /proc/THREAD/status, "" if there is none.
std::string field(pid_t thread, std::string_view name) {
  std::ifstream status(fmt::format("/proc/{}/status", thread));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name) && line.size() > name.size() + 2 && line[name.size()] == ':')
      return line.substr(name.size() + 2);
  return {};
}

std::uint64_t signal_set(pid_t thread, std::string_view name) {
  return std::strtoull(field(thread, name).c_str(), nullptr, 16);
}

} // namespace

std::vector<pid_t> threads_of(pid_t process) {
  std::vector<pid_t> threads;
  DIR* const directory = ::opendir(fmt::format("/proc/{}/task", process).c_str());
  if (directory == nullptr)
    return threads;
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] != '.')
      threads.push_back(static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)));
  ::closedir(directory);
  return threads;
}

pid_t live_thread_of(pid_t process) {
  for (const pid_t thread : threads_of(process))
    if (!has_ended(thread))
      return thread;
  return process;
}

std::optional<pid_t> process_of(pid_t thread) {
  const std::string text = field(thread, "Tgid");
  if (text.empty())
    return std::nullopt;
  return static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10));
}

pid_t tracer_of(pid_t thread) {
  return static_cast<pid_t>(std::strtol(field(thread, "TracerPid").c_str(), nullptr, 10));
}

bool has_ended(pid_t thread) {
  const std::string state = field(thread, "State");
  return state.empty() || state[0] == 'Z' || state[0] == 'X';
}

bool is_filtered(pid_t thread) {
  const std::string mode = field(thread, "Seccomp");
  return !mode.empty() && mode[0] != '0' &&
         field(thread, "Seccomp_filters") != field(::getpid(), "Seccomp_filters");
}

std::uint64_t ignored_signals(pid_t thread) {
  return signal_set(thread, "SigIgn");
}

bool trap_is_pending(pid_t thread) {
  return (signal_set(thread, "SigPnd") & (std::uint64_t{1} << (SIGTRAP - 1))) != 0;
}

long blocked_in(pid_t thread) {
  long number = -1;
  if (!(std::ifstream(fmt::format("/proc/{}/syscall", thread)) >> number)) // "running", or gone
    return -1;
  return number;
}

} // namespace proberace
