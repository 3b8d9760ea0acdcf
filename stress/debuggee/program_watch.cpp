#include "stress/debuggee/program_watch.h"

#include <csignal>
#include <poll.h>
#include <sys/signalfd.h>
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

ProgramEnd ProgramWatch::until_end(Supervisor& supervisor) {
  for (bool leaving = false; !leaving;) {
    supervisor.serve();
    if (!supervisor.process_lives())
      break;
    pollfd waiting[2] = {{signals_, POLLIN, 0}, {supervisor.descriptor(), POLLIN, 0}};
    ::poll(waiting, 2, -1);
    leaving = waiting[0].revents != 0 && asked_to_leave();
  }
  ProgramEnd end;
  end.left = supervisor.detach();
  end.status = supervisor.exit_status();
  end.ended = end.status.has_value();
  return end;
}

} // namespace proberace
