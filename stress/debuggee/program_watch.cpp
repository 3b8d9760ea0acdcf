#include "stress/debuggee/program_watch.h"

#include <algorithm>
#include <csignal>
#include <limits>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace proberace {

namespace {

// By default these end no process (signal(7)).
constexpr int kIgnored[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};

constexpr bool stops_by_default(std::uint32_t signal) noexcept {
  return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

} // namespace

ProgramWatch::ProgramWatch() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, &mask_before_);
  for (const int signal : kIgnored)
    ::sigdelset(&all, signal);
  signals_ = ::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

ProgramWatch::~ProgramWatch() {
  ::close(signals_);
}

// The terminal's signals come from the kernel (drivers/tty/n_tty.c, isig), SIGHUP of a closed one, too.
void ProgramWatch::take_signals(bool launched) {
  signalfd_siginfo signal{};
  while (::read(signals_, &signal, sizeof signal) == sizeof signal) {
    const bool of_terminal = launched && signal.ssi_code == SI_KERNEL;
    if (stops_by_default(signal.ssi_signo)) {
      stopping_ = of_terminal;
    } else if (of_terminal && !interrupted_ && (signal.ssi_signo == SIGINT || signal.ssi_signo == SIGQUIT)) {
      interrupted_ = true;
    } else {
      leaving_ = true;
    }
  }
}

// For poll(2): until the next thing to do; -1 if there is none.
int ProgramWatch::milliseconds_left(const WatchTimes& times) const {
  std::optional<Clock::time_point> next;
  if (times.duration)
    next = begin_ + *times.duration;
  if (times.interval)
    next = std::min(next.value_or(next_interval_), next_interval_);
  if (!next)
    return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

ProgramEnd ProgramWatch::until_end(Watched& program, bool launched, const WatchTimes& times) {
  begin_ = Clock::now();
  next_interval_ = times.interval ? begin_ + *times.interval : begin_;
  while (!leaving_) {
    program.serve();
    if (!program.lives())
      break;
    if (stopping_ && program.in_group_stop()) {
      stopping_ = false;
      ::kill(::getpid(), SIGSTOP); // until SIGCONT, which reaches the program, too
      continue;
    }
    pollfd waiting[2] = {{signals_, POLLIN, 0}, {program.descriptor(), POLLIN, 0}};
    ::poll(waiting, 2, milliseconds_left(times));
    take_signals(launched);
    const auto now = Clock::now();
    leaving_ = leaving_ || (times.duration && now >= begin_ + *times.duration);
    if (times.interval && now >= next_interval_) {
      times.on_interval();
      while (next_interval_ <= now)
        next_interval_ += *times.interval;
    }
  }
  ProgramEnd end;
  end.ended = !program.lives();
  end.left = program.let_go();
  end.status = program.exit_status(); // it may have ended meanwhile
  end.ended = end.ended || end.status.has_value();
  return end;
}

} // namespace proberace
