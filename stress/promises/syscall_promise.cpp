// promise/syscalls-undisturbed (H19, H69): threads block in system calls while another inserts and removes;
// none may return before it is woken.
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/code/probed_code.h"

#include <atomic>
#include <cerrno>
#include <ctime>
#include <fmt/format.h>
#include <fstream>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

struct Waits {
  int pipe[2] = {-1, -1}; // readable when the waits are to end
  int epoll = -1;
  std::atomic<std::uint32_t> word{0}; // woken then
};

struct Wait {
  const char* name;
  long (*block)(Waits& waits); // the kernel's value
};

// Long enough for the insertions, short enough to end by itself.
constexpr timespec kSleep{0, 120'000'000};

const Wait kWaits[] = {
    {"nanosleep", [](Waits&) { return raw_syscall(SYS_nanosleep, &kSleep, nullptr); }},
    {"poll",
     [](Waits& w) {
       pollfd p{w.pipe[0], POLLIN, 0};
       return raw_syscall(SYS_poll, &p, 1, -1);
     }},
    {"epoll_wait",
     [](Waits& w) {
       epoll_event event{};
       return raw_syscall(SYS_epoll_wait, w.epoll, &event, 1, -1);
     }},
    {"futex", [](Waits& w) { return raw_syscall(SYS_futex, &w.word, FUTEX_WAIT_PRIVATE, 0, nullptr); }},
    {"read",
     [](Waits& w) {
       char byte = 0;
       return raw_syscall(SYS_read, w.pipe[0], &byte, 1);
     }},
};

bool asleep(pid_t thread) {
  std::string stat;
  std::getline(std::ifstream(fmt::format("/proc/self/task/{}/stat", thread)), stat);
  const std::size_t paren = stat.rfind(')');
  return paren != std::string::npos && stat.size() > paren + 2 && stat[paren + 2] == 'S';
}

Verdict syscalls_undisturbed(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  Waits waits;
  epoll_event readable{EPOLLIN, {}};
  if (::pipe(waits.pipe) != 0 || (waits.epoll = ::epoll_create1(0)) < 0 ||
      ::epoll_ctl(waits.epoll, EPOLL_CTL_ADD, waits.pipe[0], &readable) != 0)
    return broken("setup", "no pipe to wait on");
  struct Result {
    std::atomic<pid_t> thread{0};
    std::atomic<bool> over{false};
    long value = 0;
  };
  static Result results[std::size(kWaits)];
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < std::size(kWaits); ++i)
    threads.emplace_back([&waits, i] {
      results[i].thread.store(current_thread(), std::memory_order_release); // pairs with the load below
      results[i].value = kWaits[i].block(waits);
      results[i].over.store(true, std::memory_order_release); // pairs with the load below
    });
  for (const Result& r : results)
    while (r.thread.load(std::memory_order_acquire) == 0 || !asleep(r.thread.load(std::memory_order_relaxed)))
      ::usleep(200);
  const bool slow = removes_slowly(parameters);
  Status done;
  for (int round = 0; done && round < (slow ? 1 : 8); ++round) {
    done = (*code)->insert_all();
    (*code)->function<Increment>()(1);
    if (done)
      done = (*code)->remove_all();
  }
  std::string early;
  for (std::size_t i = 1; i < std::size(kWaits); ++i)    // the sleep may have ended by itself
    if (results[i].over.load(std::memory_order_acquire)) // pairs with the waiter's store
      early += fmt::format("{}{} returned {}", early.empty() ? "" : ", ", kWaits[i].name, results[i].value);
  waits.word.store(1, std::memory_order_release); // a futex waiter looks at it again
  for (int i = 0; i < 4; ++i) {
    raw_syscall(SYS_futex, &waits.word, FUTEX_WAKE_PRIVATE, 1);
    if (::write(waits.pipe[1], "....", 4) != 4)
      return broken("setup", "the pipe cannot be written");
  }
  for (std::thread& thread : threads)
    thread.join();
  if (!done)
    return verdict_of(done.error());
  if (!early.empty())
    return broken("early", early);
  for (std::size_t i = 0; i < std::size(kWaits); ++i)
    if (results[i].value < 0)
      return broken("interrupted", fmt::format("{} returned {}", kWaits[i].name, results[i].value));
  return held();
}

const bool syscall_promise_registered =
    register_experiment("promise/syscalls-undisturbed", &syscalls_undisturbed);

} // namespace

} // namespace proberace
