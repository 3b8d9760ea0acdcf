#include "stress/run/program_watch.h"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

// By default these end no process (signal(7)), or stop it.
constexpr int kIgnored[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};

} // namespace

ProgramWatch::ProgramWatch() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  for (const int signal : kIgnored)
    ::sigdelset(&all, signal);
  signals_ = ::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

ProgramWatch::~ProgramWatch() {
  ::close(signals_);
}

bool ProgramWatch::asked_to_leave() {
  signalfd_siginfo signal{};
  return ::read(signals_, &signal, sizeof signal) == sizeof signal;
}

ProgramEnd ProgramWatch::until_end(Supervisor& supervisor, bool stay, bool own_child) {
  ProgramEnd end;
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, supervisor.process(), 0));
  if (!stay)
    end.left = supervisor.detach();
  for (bool leaving = false; !leaving;) {
    if (stay) {
      supervisor.serve();
      if (!supervisor.process_lives())
        break;
    }
    pollfd waiting[2] = {{signals_, POLLIN, 0}, {stay ? supervisor.descriptor() : process, POLLIN, 0}};
    ::poll(waiting, 2, -1);
    leaving = (waiting[0].revents != 0 && asked_to_leave()) || (!stay && waiting[1].revents != 0);
  }
  if (stay) {
    end.ended = !supervisor.process_lives();
    end.status = supervisor.exit_status();
    end.left = supervisor.detach();
  } else if (pollfd ended{process, POLLIN, 0}; ::poll(&ended, 1, 0) > 0) {
    end.ended = true;
    if (int status = 0; own_child && ::waitpid(supervisor.process(), &status, WNOHANG) > 0)
      end.status = status;
  }
  ::close(process);
  return end;
}

} // namespace proberace
