#include "harness/ptrace/supervisor_process.h"

#include "harness/ptrace/supervisor.h"
#include "harness/schedule/point.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::size_t kStackBytes = 1024 * 1024;

struct Birth {
  Command& command;
  int socket;
  Armer& armer;
  Stepper& stepper;
  pid_t process;
  int error = 0; // errno of a failed fork
};

void arm(Supervisor& supervisor, Command& command) {
  std::vector<Supervisor::Placement> placements;
  std::vector<CommandSite*> asked;
  for (std::uint32_t i = 0; i < command.count; ++i) {
    CommandSite& entry = command.sites[i];
    const auto instruction = decode(entry.site.address, {entry.bytes.data(), entry.length});
    if (!instruction) {
      entry.error.set(std::unexpected(instruction.error()));
      continue;
    }
    placements.push_back({entry.site, *instruction});
    asked.push_back(&entry);
  }
  const SiteResults results = supervisor.arm(placements);
  for (std::size_t i = 0; i < results.size(); ++i)
    asked[i]->error.set(results[i]);
}

void disarm(Supervisor& supervisor, Command& command) {
  std::vector<Site> sites;
  for (std::uint32_t i = 0; i < command.count; ++i)
    sites.push_back(command.sites[i].site);
  const SiteResults results = supervisor.disarm(sites);
  for (std::size_t i = 0; i < results.size(); ++i)
    command.sites[i].error.set(results[i]);
}

void carry_out(Supervisor& supervisor, Command& command, pid_t process) {
  command.error.set({});
  supervisor.prefer(command.thread);
  switch (command.order) {
  case Order::Attach: return command.error.set(supervisor.attach(process));
  case Order::Arm: return arm(supervisor, command);
  case Order::Disarm: return disarm(supervisor, command);
  case Order::Hits: command.hits = supervisor.sites().hits(command.sites[0].site); return;
  case Order::ThreadHits:
    command.hits = supervisor.sites().hits(command.sites[0].site, command.thread);
    return;
  case Order::Paths: command.paths = supervisor.sites().paths(); return;
  case Order::Footprint: command.footprint = supervisor.footprint(); return;
  case Order::Close: return command.error.set(supervisor.detach());
  }
}

// Keeps only the program's memory: its pipes must not seem to have another reader, its terminal must not stop
// or interrupt the supervisor, its signal handlers must not run here.
void leave_the_program_behind(int socket) {
  ::setsid();
  ::prctl(PR_SET_NAME, "proberace-trace");
  for (int signal = 1; signal < NSIG; ++signal)
    ::signal(signal, SIG_DFL);
  const auto s = static_cast<unsigned>(socket);
  if (s > 0)
    ::syscall(SYS_close_range, 0U, s - 1, 0U);
  ::syscall(SYS_close_range, s + 1, ~0U, 0U);
  while (::open("/dev/null", O_RDWR) >= 0 && ::fcntl(STDERR_FILENO, F_GETFD) < 0) {
  } // output to 0, 1 and 2 is thrown away
}

[[noreturn]] void supervise(Birth& birth) {
  schedule::leave();
  leave_the_program_behind(birth.socket);
  Command& command = birth.command;
  const char turn = Command::kTurn;
  command.supervisor = ::getpid();
  (void)!::send(birth.socket, &turn, 1, MSG_NOSIGNAL);
  Supervisor supervisor(std::unique_ptr<Armer>(&birth.armer), std::unique_ptr<Stepper>(&birth.stepper));
  for (bool attached = false; !attached || (supervisor.process_lives() && supervisor.execs() == 0);) {
    pollfd waiting[2] = {{birth.socket, POLLIN, 0}, {supervisor.descriptor(), POLLIN, 0}};
    ::poll(waiting, 2, -1);
    if (attached)
      supervisor.serve();
    if (waiting[0].revents == 0)
      continue;
    char byte = 0;
    if (::recv(birth.socket, &byte, 1, MSG_DONTWAIT) != 1)
      break;
    if (byte == Command::kGrant) {
      supervisor.serve_granted();
      continue;
    }
    carry_out(supervisor, command, birth.process);
    attached = attached || (command.order == Order::Attach && !command.error.failed);
    const bool last = command.order == Order::Close;
    (void)!::send(birth.socket, &turn, 1, MSG_NOSIGNAL);
    if (last)
      ::_exit(0);
  }
  (void)supervisor.detach();
  ::_exit(0);
}

int fork_in_its_name(void* argument) {
  Birth& birth = *static_cast<Birth*>(argument);
  const pid_t child = ::fork();
  if (child == 0)
    supervise(birth);
  birth.error = child < 0 ? errno : 0;
  ::_exit(0);
}

} // namespace

Status start_supervisor(Command& command, int socket, Armer& armer, Stepper& stepper) {
  void* const stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED)
    return std::unexpected(system_error("no memory for the helper's stack", errno));
  Birth birth{command, socket, armer, stepper, ::getpid()};
  sigset_t all;
  sigset_t before;
  // A signal handler of the program must not run in the helper.
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int helper = ::clone(&fork_in_its_name, static_cast<char*>(stack) + kStackBytes,
                             CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, &birth);
  const int error = helper < 0 ? errno : birth.error;
  while (helper > 0 && ::waitpid(helper, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::munmap(stack, kStackBytes);
  if (error != 0)
    return std::unexpected(system_error("cannot start the supervisor", error));
  return {};
}

} // namespace proberace
