#include "harness/base/failure.h"
#include "stress/debuggee/watched.h"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

// Its end is seen through a pidfd, or, where this process started it, through SIGCHLD, which also tells of stops.
class Untraced final : public Watched {
public:
  Untraced(pid_t process, bool child, int descriptor)
      : process_(process), child_(child), descriptor_(descriptor) {}
  ~Untraced() override { ::close(descriptor_); }

  int descriptor() const override { return descriptor_; }
  void serve() override {
    if (!child_) {
      pollfd end{descriptor_, POLLIN, 0};
      lives_ = ::poll(&end, 1, 0) == 0; // its first thread may have ended before
      return;
    }
    signalfd_siginfo ignored;
    // Before waitpid, so that a later signal is not lost.
    (void)!::read(descriptor_, &ignored, sizeof ignored);
    int status = 0;
    while (lives_ && ::waitpid(process_, &status, WNOHANG | WUNTRACED | WCONTINUED) == process_) {
      stopped_ = WIFSTOPPED(status);
      lives_ = stopped_ || WIFCONTINUED(status);
      if (!lives_)
        exit_status_ = status;
    }
  }
  bool lives() const override { return lives_; }
  bool in_group_stop() const override { return stopped_; }
  std::optional<int> exit_status() const override { return exit_status_; }
  Status let_go() override { return {}; }

private:
  const pid_t process_;
  const bool child_;
  const int descriptor_;
  bool lives_ = true;
  bool stopped_ = false;
  std::optional<int> exit_status_;
};

} // namespace

std::expected<std::unique_ptr<Watched>, Error> untraced(pid_t process, bool child) {
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  const int descriptor = child ? ::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK)
                               : static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0)
    return std::unexpected(system_error("no descriptor to wait for the program's end", errno));
  return std::make_unique<Untraced>(process, child, descriptor);
}

} // namespace proberace
