#include "harness/cell/nursery.h"

#include "harness/cell/patience.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::abort();
}

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// "tid state wchan syscall..." for each thread of a hung child.
void note_where_threads_stand(pid_t child, Arena& arena) {
  std::string text;
  const std::string tasks = fmt::format("/proc/{}/task", child);
  DIR* const directory = ::opendir(tasks.c_str());
  if (directory == nullptr)
    return;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.')
      continue;
    const std::string task = fmt::format("{}/{}", tasks, entry->d_name);
    const std::string stat = first_line(task + "/stat");
    const std::size_t paren = stat.rfind(')');
    text += fmt::format("{} {} in {} ({})\n", entry->d_name,
                        paren != std::string::npos && paren + 2 < stat.size() ? stat[paren + 2] : '?',
                        first_line(task + "/wchan"), first_line(task + "/syscall"));
  }
  ::closedir(directory);
  std::snprintf(arena.stands, sizeof arena.stands, "%s", text.c_str());
}

// Everything but what the parent has just written.
void clear(Arena& arena) {
  arena.end = ChildEnd{};
  arena.crash.valid.store(false, std::memory_order_relaxed); // the child does not exist yet
  arena.crash.signal = 0;
  for (ThreadPoint& point : arena.points) {
    point.thread.store(0, std::memory_order_relaxed);
    point.pass(nullptr);
  }
  arena.points_used.store(0, std::memory_order_relaxed);
  arena.result_bytes.store(0, std::memory_order_relaxed);
  arena.stands[0] = '\0';
  std::memset(arena.scratch, 0, sizeof arena.scratch);
}

// False if it misses its deadline.
bool ends_in_time(pid_t child, int pidfd, std::chrono::milliseconds deadline) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const ProcessorTime used_before = ProcessorTime::now(child);
  pollfd waiting{pidfd, POLLIN, 0};
  for (auto left = deadline; left.count() > 0;) {
    if (::poll(&waiting, 1, static_cast<int>(left.count())) > 0)
      return true;
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    left = time_left(deadline, passed, used_before, ProcessorTime::now(child));
  }
  return false;
}

void run_one(Arena& arena) {
  clear(arena);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0)
    die("proberace: fork of a cell");
  if (child == 0) {
    ::setpgid(0, 0); // so that its children can be ended with it
    run_child(arena);
  }
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (!ends_in_time(child, pidfd, std::chrono::milliseconds(arena.deadline_milliseconds))) {
    note_where_threads_stand(child, arena);
    arena.end.timed_out = true;
    ::kill(child, SIGKILL);
  }
  // A child of the cell that hangs would keep the pipe of our starter open. The cell is not waited for yet, so nobody
  // else has its number.
  ::kill(-child, SIGKILL);
  ::close(pidfd);
  while (::waitpid(child, &arena.end.exit_status, 0) < 0 && errno == EINTR) {
  }
  arena.end.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

[[noreturn]] void nursery_main(int socket, Arena& arena) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "nursery");
  char byte = 0;
  while (::read(socket, &byte, 1) == 1) {
    run_one(arena);
    if (::write(socket, &byte, 1) != 1)
      break;
  }
  ::_exit(0);
}

} // namespace

Nursery::Nursery() {
  void* const memory =
      ::mmap(nullptr, sizeof(Arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    die("proberace: arena");
  arena_ = static_cast<Arena*>(memory); // zero pages are a valid, empty arena
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
    die("proberace: socketpair");
  std::fflush(nullptr);
  process_ = ::fork();
  if (process_ < 0)
    die("proberace: fork of the nursery");
  if (process_ == 0) {
    ::close(sockets[0]);
    nursery_main(sockets[1], *arena_);
  }
  ::close(sockets[1]);
  socket_ = sockets[0];
}

Nursery::~Nursery() {
  ::close(socket_);
  int status = 0;
  ::waitpid(process_, &status, 0);
}

void Nursery::run() {
  char byte = 0;
  if (::write(socket_, &byte, 1) != 1 || ::read(socket_, &byte, 1) != 1) {
    std::fprintf(stderr, "proberace: the nursery process is gone\n");
    std::abort();
  }
}

} // namespace proberace
