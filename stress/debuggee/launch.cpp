#include "stress/debuggee/launch.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

[[noreturn]] void become(const std::vector<std::string>& command, const sigset_t& mask, int start,
                         int failure) {
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  std::vector<char*> arguments;
  for (const std::string& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char byte = 0;
  if (::read(start, &byte, 1) == 1) {
    ::execvp(arguments[0], arguments.data());
    const int error = errno;
    (void)!::write(failure, &error, sizeof error);
  }
  ::_exit(127);
}

} // namespace

std::expected<Launch, Error> Launch::begin(const std::vector<std::string>& command, const sigset_t& mask) {
  int start[2];
  int failure[2];
  if (::pipe2(start, O_CLOEXEC) != 0 || ::pipe2(failure, O_CLOEXEC | O_NONBLOCK) != 0)
    return std::unexpected(system_error("no pipe", errno));
  Launch launch;
  launch.start_ = start[1];
  launch.failure_ = failure[0];
  launch.process_ = ::fork();
  if (launch.process_ == 0) {
    ::close(start[1]); // so that it ends if this process does
    become(command, mask, start[0], failure[1]);
  }
  ::close(start[0]);
  ::close(failure[1]);
  if (launch.process_ < 0)
    return std::unexpected(system_error("cannot start a process", errno));
  return launch;
}

Launch::Launch(Launch&& other) noexcept
    : process_(other.process_), start_(std::exchange(other.start_, -1)),
      failure_(std::exchange(other.failure_, -1)) {}

Launch::~Launch() {
  for (const int descriptor : {start_, failure_})
    if (descriptor >= 0)
      ::close(descriptor);
}

void Launch::go() noexcept {
  const char byte = 0;
  (void)!::write(start_, &byte, 1);
}

Status Launch::executed() const {
  int error = 0;
  if (::read(failure_, &error, sizeof error) != sizeof error)
    return {};
  return std::unexpected(
      Error{ErrorKind::BadInput, {}, system_error("cannot execute the program", error).message});
}

} // namespace proberace
