// Starts a program that waits to be traced before it is executed.
#pragma once

#include "harness/base/error.h"

#include <csignal>
#include <string>
#include <sys/types.h>
#include <vector>

namespace proberace {

class Launch {
public:
  // A child process that will execute the program with this signal mask. All else it inherits: descriptors,
  // ignored signals, environment and process group are those with which this process was started.
  static std::expected<Launch, Error> begin(const std::vector<std::string>& command, const sigset_t& mask);

  Launch(Launch&& other) noexcept;
  Launch& operator=(Launch&&) = delete;
  ~Launch();

  pid_t process() const noexcept { return process_; }
  // Lets it execute.
  void go() noexcept;
  // Precondition: it has executed or ended. BadInput if it could not be executed.
  Status executed() const;

private:
  Launch() = default;
  pid_t process_ = 0;
  int start_ = -1;   // written to: go
  int failure_ = -1; // read from: the errno of a failed execve
};

} // namespace proberace
