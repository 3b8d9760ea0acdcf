#include "harness/ptrace/injected_calls.h"

#include "harness/base/address_space.h"
#include "harness/base/failure.h"
#include "harness/base/signal_action.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/trace_request.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array<std::uint8_t, 2> kSyscall{0x0f, 0x05}; // SDM vol. 2B, SYSCALL

// These calls return EINTR after a stop even without a handler (signal(7), "Interruption of system calls and
// library functions by stop signals").
constexpr long kNeverRestarted[] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2,    SYS_semop,
                                    SYS_semtimedop, SYS_msgrcv,      SYS_rt_sigtimedwait, SYS_io_getevents};

bool restarts(pid_t thread) {
  return std::find(std::begin(kNeverRestarted), std::end(kNeverRestarted), blocked_in(thread)) ==
         std::end(kNeverRestarted);
}

bool at_syscall_stop(int status) {
  return stop_event(status) == 0 && stop_signal(status) == kSyscallStop;
}

// Linux 6.4, include/uapi/linux/ptrace.h; Debian 12's header is older.
constexpr int kSetDispatch = 0x4210;
constexpr int kGetDispatch = 0x4211;
struct Dispatch {
  std::uint64_t mode = 0; // 0: off
  std::uint64_t selector = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// While this lives, no seccomp filter and no syscall user dispatch sees what a stopped thread calls.
class Unwatched {
public:
  explicit Unwatched(pid_t thread) : thread_(thread) {
    if (is_filtered(thread)) {
      suspended_ =
          trace_request(PTRACE_SETOPTIONS, thread, 0, Tracees::kOptions | PTRACE_O_SUSPEND_SECCOMP) == 0;
      if (!suspended_)
        allowed_ = failure(
            ErrorKind::NoPermission,
            "the program has a seccomp filter, which may kill it for a system call in its name; to suspend "
            "the filter takes CAP_SYS_ADMIN");
    }
    if (trace_request(kGetDispatch, thread, sizeof dispatch_, &dispatch_) == 0 && dispatch_.mode != 0) {
      Dispatch off;
      dispatched_ = trace_request(kSetDispatch, thread, sizeof off, &off) == 0;
    }
  }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
  ~Unwatched() {
    if (suspended_)
      trace_request(PTRACE_SETOPTIONS, thread_, 0, Tracees::kOptions);
    if (dispatched_)
      trace_request(kSetDispatch, thread_, sizeof dispatch_, &dispatch_);
  }
  const Status& allowed() const noexcept { return allowed_; }

private:
  const pid_t thread_;
  Status allowed_;
  Dispatch dispatch_;
  bool suspended_ = false;
  bool dispatched_ = false;
};

} // namespace

// A thread of the process in an event stop, preferably one that is in no group stop.
Tracee* InjectedCalls::standing() {
  Tracee* found = nullptr;
  for (Tracee* const t : tracees_.all())
    if (t->stopped && t->process == tracees_.process() && is_event_stop(t->status) &&
        (found == nullptr || is_group_stop(found->status)))
      found = t;
  return found;
}

// The running thread that is best interrupted.
Tracee* InjectedCalls::candidate() {
  if (Tracee* const t = tracees_.find(preferred_); t != nullptr && !t->stopped && !t->leaving && !t->in_vfork)
    return t;
  Tracee* found = nullptr;
  for (Tracee* const t : tracees_.all()) {
    if (t->stopped || t->leaving || t->in_vfork || t->process != tracees_.process())
      continue;
    found = t;
    if (restarts(t->thread))
      break;
  }
  return found;
}

std::expected<Tracee*, Error> InjectedCalls::hold() {
  const auto deadline = Clock::now() + Tracees::kStopTimeout;
  while (Clock::now() < deadline) {
    tracees_.note_all();
    if (Tracee* const t = standing(); t != nullptr)
      return t;
    if (!tracees_.process_lives())
      return failure(ErrorKind::ThreadWouldNotStop, "the program has ended");
    Tracee* const t = candidate();
    if (t != nullptr) {
      tracees_.interrupt(*t);
      tracees_.wait_until(deadline);
      tracees_.note_all();
    }
    bool handled = false;
    if (standing() == nullptr)
      while (Tracee* const other = tracees_.next()) {
        handle_(*other);
        handled = true;
      }
    if (t == nullptr && !handled) // none can be interrupted: each is about to end, or in vfork
      tracees_.wait_until(std::min(deadline, Clock::now() + std::chrono::milliseconds(10)));
  }
  return failure(ErrorKind::ThreadWouldNotStop,
                 "no thread of the program could be stopped for a system call in its name");
}

// The syscall instruction found last time, if it is still there: a process may have hundreds of mappings to search.
std::expected<Address, Error> InjectedCalls::gate() {
  std::array<std::uint8_t, 2> code{};
  if (gate_ != Address{} && memory_.read(gate_, code) && code == kSyscall)
    return gate_;
  const auto found = find_gate();
  gate_ = found.value_or(Address{});
  return found;
}

std::expected<Address, Error> InjectedCalls::find_gate() const {
  const AddressSpace space = memory_.space();
  for (const bool vdso : {true, false})
    for (const Mapping& m : space.mappings()) {
      if (!m.executable || !m.readable || (m.path == "[vdso]") != vdso || m.path == "[vsyscall]")
        continue;
      std::vector<std::uint8_t> code(m.bytes());
      if (!memory_.read(m.start, code))
        continue;
      for (std::size_t i = 0; i + 1 < code.size(); ++i)
        if (code[i] == kSyscall[0] && code[i + 1] == kSyscall[1])
          return m.start + static_cast<std::ptrdiff_t>(i);
    }
  return machine_lacks("the program holds no syscall instruction to run one with");
}

// Runs a stopped thread until `arrived`. False if it has ended. A SIGSTOP that arrives meanwhile, which no
// mask holds back, is kept from it.
bool InjectedCalls::run_to(pid_t thread, int request, bool (*arrived)(int), bool& stop_taken) {
  for (;;) {
    if (request == PTRACE_CONT)
      trace_request(PTRACE_INTERRUPT, thread);
    trace_request(request, thread);
    if (!tracees_.await_stop(thread))
      return false;
    const int status = tracees_.find(thread)->status;
    if (arrived(status))
      return true;
    // A first thread that has ended is not reaped before the others; the supervisor handles this stop in its turn.
    if (stop_event(status) == PTRACE_EVENT_EXIT)
      return false;
    stop_taken = stop_taken || (stop_event(status) == 0 && stop_signal(status) == SIGSTOP);
  }
}

std::expected<long, Error> InjectedCalls::make(Tracee& tracee, long number, const Arguments& arguments) {
  const auto at = gate();
  if (!at)
    return std::unexpected(at.error());
  const pid_t thread = tracee.thread;
  const Unwatched unwatched(thread);
  if (const Status& allowed = unwatched.allowed(); !allowed)
    return std::unexpected(allowed.error());
  const bool at_hit = &tracee == hit_;
  user_regs_struct before{};
  std::uint64_t mask_before = 0;
  std::uint64_t mask = kAllSignals;
  trace_request(PTRACE_GETREGS, thread, 0, &before);
  trace_request(PTRACE_GETSIGMASK, thread, sizeof mask_before, &mask_before);
  trace_request(PTRACE_SETSIGMASK, thread, sizeof mask, &mask);
  user_regs_struct during = before;
  during.rip = value(*at);
  during.rax = static_cast<unsigned long long>(number);
  // In no system call: the kernel restarts none on the way there.
  during.orig_rax = ~0ULL;
  during.rdi = arguments[0];
  during.rsi = arguments[1];
  during.rdx = arguments[2];
  during.r10 = arguments[3];
  during.r8 = arguments[4];
  during.r9 = arguments[5];
  trace_request(PTRACE_SETREGS, thread, 0, &during);
  bool stop_taken = false;
  const Error ended{
      ErrorKind::System,
      {},
      fmt::format("thread {} ended, or did not come back, during a system call in its name", thread)};
  if (!run_to(thread, PTRACE_SYSCALL, &at_syscall_stop, stop_taken) ||
      !run_to(thread, PTRACE_SYSCALL, &at_syscall_stop, stop_taken))
    return std::unexpected(ended);
  trace_request(PTRACE_GETREGS, thread, 0, &during);
  if (!at_hit && !run_to(thread, PTRACE_CONT, &is_event_stop, stop_taken))
    return std::unexpected(ended);
  trace_request(PTRACE_SETREGS, thread, 0, &before);
  trace_request(PTRACE_SETSIGMASK, thread, sizeof mask_before, &mask_before);
  if (stop_taken)
    ::kill(tracees_.process(), SIGSTOP);
  return static_cast<long>(during.rax);
}

std::expected<long, Error> InjectedCalls::call(long number, const Arguments& arguments) {
  if (hit_ != nullptr)
    return make(*hit_, number, arguments);
  const auto thread = hold();
  if (!thread)
    return std::unexpected(thread.error());
  return make(**thread, number, arguments);
}

std::expected<long, Error> InjectedCalls::call_while_stopped(long number, const Arguments& arguments) {
  Tracee* const t = standing();
  if (t == nullptr)
    return failure(ErrorKind::Unsupported, "no thread stands at a place for a system call");
  return make(*t, number, arguments);
}

} // namespace proberace
