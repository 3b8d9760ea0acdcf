// A shell's command, its output and exit status: mutants are programs of their own, and tests run the program
// as its users do.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <sys/wait.h>

namespace proberace {

struct Outcome {
  int status = -1;
  std::string out;
};

inline Outcome run_shell(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  Outcome o;
  if (pipe == nullptr)
    return o;
  std::array<char, 4096> chunk{};
  for (std::size_t n = 0; (n = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
    o.out.append(chunk.data(), n);
  const int status = ::pclose(pipe);
  o.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return o;
}

#ifdef PROBERACE_PROGRAM
inline Outcome run_proberace(const std::string& arguments, const char* errors = "2>&1") {
  return run_shell(fmt::format("{} {} {}", PROBERACE_PROGRAM, arguments, errors));
}
#endif

} // namespace proberace
