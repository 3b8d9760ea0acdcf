#include "harness/ptrace/command_channel.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

void PlainError::set(const Status& status) noexcept {
  failed = !status;
  if (!failed)
    return;
  kind = status.error().kind;
  address = status.error().address;
  const std::size_t length = std::min(status.error().message.size(), sizeof message - 1);
  std::memcpy(message, status.error().message.data(), length);
  message[length] = '\0';
}

Status PlainError::get() const {
  if (!failed)
    return {};
  return failure(kind, address, "{}", message);
}

std::expected<int, Error> CommandChannel::open() {
  void* const memory =
      ::mmap(nullptr, sizeof(Command), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return std::unexpected(system_error("no memory to share with the supervisor", errno));
  command_ = new (memory) Command;
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    const Error error = system_error("no socket to the supervisor", errno);
    close();
    return std::unexpected(error);
  }
  socket_ = sockets[0];
  return sockets[1];
}

void CommandChannel::close() noexcept {
  if (socket_ >= 0)
    ::close(socket_);
  if (command_ != nullptr)
    ::munmap(command_, sizeof(Command));
  socket_ = -1;
  command_ = nullptr;
}

// The kernel restarts recv after the supervisor has interrupted this thread (SA_RESTART handlers or none).
// That makes it the best thread for system calls in the program's name.
bool CommandChannel::await_turn() noexcept {
  char byte = 0;
  for (;;) {
    const ssize_t n = ::recv(socket_, &byte, 1, 0);
    if (n >= 0 || errno != EINTR)
      return n == 1;
  }
}

void CommandChannel::grant() noexcept {
  (void)!::send(socket_, &Command::kGrant, 1, MSG_NOSIGNAL);
}

Status CommandChannel::carry_out() noexcept {
  const char byte = Command::kTurn;
  if (::send(socket_, &byte, 1, MSG_NOSIGNAL) == 1 && await_turn())
    return {};
  return failure(ErrorKind::System,
                 "the supervisor has ended (killed?): probes it left armed end the program at their "
                 "next hit");
}

Status CommandChannel::carry_out_last() noexcept {
  const auto process = static_cast<int>(::syscall(SYS_pidfd_open, command_->supervisor, 0));
  const Status done = carry_out();
  pollfd ended{process, POLLIN, 0};
  while (done && process >= 0 && ::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  if (process >= 0)
    ::close(process);
  return done;
}

} // namespace proberace
