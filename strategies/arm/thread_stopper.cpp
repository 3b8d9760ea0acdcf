#include "strategies/arm/thread_stopper.h"

#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kMaxThreads = 32 * 1024;

struct Stopped {
  pid_t thread;
  int signal; // to be delivered when it continues; 0 for none
};

enum class Outcome : std::uint32_t { Running, Done, Refused, WouldNotStop, TooManyThreads };

struct Helper {
  void (*job)(void*) noexcept;
  void* argument;
  pid_t process;
  pid_t caller;
  std::atomic<std::uint32_t> may_start;
  std::atomic<std::uint32_t> outcome;
  int error; // errno behind Refused
  pid_t culprit;
  std::size_t count;
  Stopped stopped[kMaxThreads];
};

constexpr std::size_t kMemoryBytes = kStackBytes + ((sizeof(Helper) + 4095) & ~std::size_t{4095});

// ---- In the helper: raw system calls only, nothing of libc, no stack protector (it shares the caller's
// TLS).

std::int64_t now_nanoseconds() noexcept {
  timespec t{};
  raw_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

bool known(const Helper& helper, pid_t thread) noexcept {
  for (std::size_t i = 0; i < helper.count; ++i)
    if (helper.stopped[i].thread == thread)
      return true;
  return false;
}

// Waits for the thread's first stop. True also if the thread has ended.
bool await_stop(Stopped& entry, std::int64_t deadline) noexcept {
  for (;;) {
    int status = 0;
    const long result = raw_syscall(SYS_wait4, entry.thread, &status, __WALL | WNOHANG, nullptr);
    if (result < 0 || (result > 0 && !WIFSTOPPED(status))) {
      entry.thread = 0; // it ended, or was killed
      return true;
    }
    if (result > 0) {
      // PTRACE_INTERRUPT's stop, and group stops, carry PTRACE_EVENT_STOP; any other stop is a signal being
      // delivered.
      constexpr int kEventStop = PTRACE_EVENT_STOP;
      entry.signal = status >> 16 == kEventStop ? 0 : WSTOPSIG(status);
      return true;
    }
    if (now_nanoseconds() > deadline)
      return false;
    constexpr timespec kPoll{0, 5'000};
    raw_syscall(SYS_nanosleep, &kPoll, nullptr);
  }
}

// A path under /proc put together without libc.
class ProcPath {
public:
  ProcPath& text(const char* t) noexcept {
    while (*t != '\0')
      path_[length_++] = *t++;
    return *this;
  }
  ProcPath& number(pid_t n) noexcept {
    char digits[12];
    int count = 0;
    for (; n > 0; n /= 10)
      digits[count++] = static_cast<char>('0' + n % 10);
    while (count > 0)
      path_[length_++] = digits[--count];
    return *this;
  }
  const char* c_str() const noexcept { return path_; }

private:
  char path_[64] = {};
  std::size_t length_ = 0;
};

// A thread that has ended but is still listed: ptrace refuses it with EPERM, like one it may not touch.
bool has_ended(pid_t process, pid_t thread) noexcept {
  ProcPath path;
  path.text("/proc/").number(process).text("/task/").number(thread).text("/stat");
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return true;
  char stat[256];
  const long bytes = raw_syscall(SYS_read, fd, stat, sizeof stat);
  raw_syscall(SYS_close, fd);
  long at = bytes - 1;
  while (at > 0 && stat[at] != ')') // the command before it may hold anything
    --at;
  return bytes <= 0 || (at + 2 < bytes && (stat[at + 2] == 'Z' || stat[at + 2] == 'X'));
}

Outcome seize(Helper& helper, pid_t thread, std::int64_t deadline) noexcept {
  if (helper.count == kMaxThreads)
    return Outcome::TooManyThreads;
  const long seized = raw_syscall(SYS_ptrace, PTRACE_SEIZE, thread, 0, 0);
  if (seized == -ESRCH || (seized == -EPERM && has_ended(helper.process, thread)))
    return Outcome::Running;
  if (seized < 0) {
    helper.error = static_cast<int>(-seized);
    helper.culprit = thread;
    return Outcome::Refused;
  }
  Stopped& entry = helper.stopped[helper.count++];
  entry = Stopped{thread, 0};
  raw_syscall(SYS_ptrace, PTRACE_INTERRUPT, thread, 0, 0);
  if (await_stop(entry, deadline))
    return Outcome::Running;
  helper.culprit = thread;
  return Outcome::WouldNotStop;
}

pid_t parse_number(const char* text) noexcept {
  pid_t number = 0;
  for (; *text >= '0' && *text <= '9'; ++text)
    number = number * 10 + (*text - '0');
  return *text == '\0' ? number : 0;
}

struct LinuxDirent { // getdents64(2)
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

// One pass over the thread list. `fresh` is set if it found a thread that was not stopped yet.
Outcome seize_listed(Helper& helper, long directory, bool& fresh, std::int64_t deadline) noexcept {
  alignas(8) char buffer[4096];
  raw_syscall(SYS_lseek, directory, 0, SEEK_SET);
  for (;;) {
    const long bytes = raw_syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (bytes <= 0)
      return Outcome::Running;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const LinuxDirent*>(buffer + at);
      at += entry->length;
      const pid_t thread = parse_number(entry->name);
      if (thread == 0 || thread == helper.caller || known(helper, thread))
        continue;
      fresh = true;
      if (const Outcome o = seize(helper, thread, deadline); o != Outcome::Running)
        return o;
    }
  }
}

Outcome stop_all(Helper& helper) noexcept {
  const std::int64_t deadline = now_nanoseconds() + std::chrono::nanoseconds(kStopTimeout).count();
  ProcPath path;
  path.text("/proc/").number(helper.process).text("/task");
  const long directory = raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    helper.error = static_cast<int>(-directory);
    return Outcome::Refused;
  }
  Outcome outcome = Outcome::Running;
  for (bool fresh = true; fresh && outcome == Outcome::Running;) {
    fresh = false;
    outcome = seize_listed(helper, directory, fresh, deadline);
  }
  raw_syscall(SYS_close, directory);
  return outcome;
}

void let_go(Helper& helper) noexcept {
  for (std::size_t i = 0; i < helper.count; ++i)
    if (helper.stopped[i].thread != 0)
      raw_syscall(SYS_ptrace, PTRACE_DETACH, helper.stopped[i].thread, 0, helper.stopped[i].signal);
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t while_equal) noexcept {
  raw_syscall(SYS_futex, &word, FUTEX_WAIT, while_equal, nullptr);
}
void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  raw_syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX);
}

int helper_main(void* argument) noexcept {
  Helper& helper = *static_cast<Helper*>(argument);
  while (helper.may_start.load(std::memory_order_acquire) == 0) // pairs with while_stopped
    futex_wait(helper.may_start, 0);
  Outcome outcome = stop_all(helper);
  if (outcome == Outcome::Running) {
    helper.job(helper.argument);
    outcome = Outcome::Done;
  }
  let_go(helper);
  helper.outcome.store(static_cast<std::uint32_t>(outcome),
                       std::memory_order_release); // pairs with while_stopped
  futex_wake(helper.outcome);
  return 0;
}

// ---- In the caller.

Status report(Outcome outcome, const Helper& helper) {
  switch (outcome) {
  case Outcome::Done: return {};
  case Outcome::WouldNotStop:
    return failure(ErrorKind::ThreadWouldNotStop,
                   "thread {} did not stop within {} s (uninterruptible sleep?)", helper.culprit,
                   kStopTimeout.count());
  case Outcome::TooManyThreads:
    return failure(ErrorKind::ThreadWouldNotStop, "more than {} threads to stop", kMaxThreads);
  default:
    return std::unexpected(system_error(
        fmt::format("ptrace of thread {} (another tracer, or kernel.yama.ptrace_scope?)", helper.culprit),
        helper.error));
  }
}

} // namespace

Status ThreadStopper::open() {
  memory_ = ::mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
  if (memory_ != MAP_FAILED)
    return {};
  memory_ = nullptr;
  return std::unexpected(system_error("no memory for the helper's stack", errno));
}

void ThreadStopper::close() {
  if (memory_ != nullptr)
    ::munmap(memory_, kMemoryBytes);
  memory_ = nullptr;
}

Status ThreadStopper::while_stopped(void (*job)(void*) noexcept, void* argument) {
  auto* const stack_top = static_cast<char*>(memory_) + kStackBytes;
  auto& helper = *reinterpret_cast<Helper*>(stack_top);
  helper.job = job;
  helper.argument = argument;
  helper.process = ::getpid();
  helper.caller = current_thread();
  helper.may_start.store(0, std::memory_order_relaxed); // the helper does not exist yet
  helper.outcome.store(0, std::memory_order_relaxed);
  helper.error = 0;
  helper.culprit = 0;
  helper.count = 0;

  // A signal handler of the program must not run in the helper, on the helper's small stack.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int process =
      ::clone(&helper_main, stack_top, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, &helper);
  const int clone_error = errno;
  if (process < 0) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return std::unexpected(system_error("cannot start the helper process", clone_error));
  }
  ::prctl(PR_SET_PTRACER, process, 0, 0,
          0); // where Yama restricts ptrace; elsewhere it fails, and need not succeed
  helper.may_start.store(1, std::memory_order_release); // pairs with helper_main
  futex_wake(helper.may_start);
  while (helper.outcome.load(std::memory_order_acquire) == 0) // pairs with helper_main
    futex_wait(helper.outcome, 0);
  int status = 0;
  while (::waitpid(process, &status, __WALL) < 0 && errno == EINTR) {
  }
  ::prctl(PR_SET_PTRACER, 0, 0, 0, 0);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return report(static_cast<Outcome>(helper.outcome.load(std::memory_order_relaxed)), helper); // it has ended
}

Footprint ThreadStopper::footprint() const {
  Footprint f;
  if (memory_ != nullptr) {
    f.mappings = 1;
    f.mapped_bytes = static_cast<std::int64_t>(kMemoryBytes);
  }
  return f;
}

} // namespace proberace
