#include "harness/ptrace/tracees.h"

#include "harness/base/failure.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/trace_request.h"

#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

Error refused(pid_t thread, int error_number) {
  return system_error(
      fmt::format("cannot trace thread {} (another tracer, or kernel.yama.ptrace_scope?)", thread),
      error_number);
}

} // namespace

const long Tracees::kOptions = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                               PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
                               PTRACE_O_TRACESYSGOOD;

Tracees::~Tracees() {
  if (signals_ >= 0)
    ::close(signals_);
}

Status Tracees::seize(pid_t thread, bool& fresh) {
  if (find(thread) != nullptr)
    return {};
  const long result = trace_request(PTRACE_SEIZE, thread, 0, kOptions);
  if (result == 0) {
    fresh = true;
    (tracees_[thread] = std::make_unique<Tracee>(thread, process_))->introduced = true;
    return {};
  }
  // It was born traced and is not noted yet, or it has ended and is still listed.
  if (result == -ESRCH || tracer_of(thread) == ::getpid() || has_ended(thread))
    return {};
  return std::unexpected(refused(thread, static_cast<int>(-result)));
}

// A thread that is created meanwhile either is born traced or was created by a thread that is not seized yet.
// So once a whole pass finds no new thread, all are ours (H07).
Status Tracees::seize_all(pid_t process) {
  process_ = process;
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  signals_ = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0)
    return std::unexpected(system_error("no descriptor for SIGCHLD", errno));
  for (bool fresh = true; fresh;) {
    fresh = false;
    for (const pid_t thread : threads_of(process))
      if (const Status seized = seize(thread, fresh); !seized)
        return seized;
  }
  if (tracees_.empty())
    return bad_input("there is no process {}", process);
  return {};
}

void Tracees::note(pid_t thread, int status) {
  Tracee* tracee = find(thread);
  if (!WIFSTOPPED(status)) {
    if (thread == process_)
      exit_status_ = status;
    forget(thread);
    return;
  }
  if (tracee == nullptr)
    tracee = (tracees_[thread] = std::make_unique<Tracee>(thread, process_of(thread).value_or(thread))).get();
  expect_child(thread, status);
  tracee->stopped = true;
  tracee->listening = false;
  tracee->interrupted = false;
  tracee->status = status;
  if (!tracee->queued)
    queue_.push_back(thread);
  tracee->queued = true;
}

// A thread that was just created is traced already, but may not have stopped for the first time. It is waited
// for like any other.
void Tracees::expect_child(pid_t creator, int status) {
  const int event = stop_event(status);
  if (event != PTRACE_EVENT_CLONE && event != PTRACE_EVENT_FORK && event != PTRACE_EVENT_VFORK)
    return;
  unsigned long message = 0;
  trace_request(PTRACE_GETEVENTMSG, creator, 0, &message);
  const auto child = static_cast<pid_t>(message);
  if (find(child) == nullptr && tracer_of(child) == ::getpid() && !has_ended(child))
    tracees_[child] = std::make_unique<Tracee>(child, process_of(child).value_or(child));
}

void Tracees::note_all() {
  signalfd_siginfo ignored;
  // Before wait4, so that a later signal is not lost.
  (void)!::read(signals_, &ignored, sizeof ignored);
  for (;;) {
    int status = 0;
    const pid_t thread = ::wait4(-1, &status, __WALL | WNOHANG, nullptr);
    if (thread <= 0)
      return;
    note(thread, status);
  }
}

void Tracees::wait_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd waiting{signals_, POLLIN, 0};
  ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
}

Tracee* Tracees::next() {
  while (!queue_.empty()) {
    Tracee* const tracee = find(queue_.front());
    queue_.pop_front();
    if (tracee == nullptr || !tracee->queued)
      continue;
    tracee->queued = false;
    if (tracee->stopped)
      return tracee;
  }
  return nullptr;
}

Tracee* Tracees::find(pid_t thread) noexcept {
  const auto it = tracees_.find(thread);
  return it != tracees_.end() ? it->second.get() : nullptr;
}

std::vector<Tracee*> Tracees::all() {
  std::vector<Tracee*> list;
  for (const auto& [thread, tracee] : tracees_)
    list.push_back(tracee.get());
  return list;
}

void Tracees::resume(Tracee& tracee, int signal) noexcept {
  tracee.stopped = false;
  tracee.queued = false;
  trace_request(tracee.stepping != nullptr ? PTRACE_SINGLESTEP : PTRACE_CONT, tracee.thread, 0, signal);
}

void Tracees::listen(Tracee& tracee) noexcept {
  tracee.stopped = false;
  tracee.listening = true;
  tracee.queued = false;
  trace_request(PTRACE_LISTEN, tracee.thread);
}

void Tracees::interrupt(Tracee& tracee) noexcept {
  if (!tracee.interrupted)
    trace_request(PTRACE_INTERRUPT, tracee.thread);
  tracee.interrupted = true;
}

void Tracees::detach(Tracee& tracee, int signal) noexcept {
  trace_request(PTRACE_DETACH, tracee.thread, 0, signal);
  forget(tracee.thread);
}

void Tracees::forget(pid_t thread) noexcept {
  tracees_.erase(thread);
}

Status Tracees::stop_all() {
  const auto deadline = Clock::now() + kStopTimeout;
  for (;;) {
    note_all();
    const Tracee* running = nullptr;
    for (const auto& [thread, tracee] : tracees_) {
      if (tracee->stopped || tracee->leaving || tracee->in_vfork)
        continue;
      interrupt(*tracee);
      running = tracee.get();
    }
    if (running == nullptr)
      return {};
    if (Clock::now() > deadline)
      return failure(ErrorKind::ThreadWouldNotStop,
                     "thread {} did not stop within {} s (uninterruptible sleep?)", running->thread,
                     kStopTimeout.count());
    wait_until(deadline);
  }
}

// The descriptor is not read: whoever notes the other threads' stops must find it readable.
bool Tracees::await_stop(pid_t thread) {
  const auto deadline = Clock::now() + kStopTimeout;
  for (bool another = false;; another = true) {
    int status = 0;
    const pid_t waited = ::wait4(thread, &status, __WALL | WNOHANG, nullptr);
    if (waited == thread)
      note(thread, status);
    if (waited != 0)
      return waited == thread && WIFSTOPPED(status);
    if (Clock::now() > deadline)
      return false;
    if (another) // it may be readable for another thread's stop
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    wait_until(deadline);
  }
}

bool Tracees::in_group_stop() const noexcept {
  for (const auto& [thread, tracee] : tracees_)
    if (tracee->process == process_ && !tracee->listening && !tracee->leaving)
      return false;
  return true;
}

pid_t Tracees::live_thread() const noexcept {
  for (const auto& [thread, tracee] : tracees_)
    if (tracee->process == process_ && !tracee->leaving)
      return thread;
  for (const auto& [thread, tracee] : tracees_) // a child that shares its memory may outlive it
    if (!tracee->leaving)
      return thread;
  return process_;
}

bool Tracees::process_lives() const noexcept {
  for (const auto& [thread, tracee] : tracees_)
    if (tracee->process == process_)
      return true;
  return false;
}

} // namespace proberace
