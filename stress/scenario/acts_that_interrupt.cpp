// The act `interrupt`: windows of one instruction, which a signal that comes at a random moment hardly ever meets. A
// process of the run's own traces the thread by single steps while it executes a body, hit and all, and sends it a signal
// before each instruction. Meanwhile other threads insert and remove, for whom every window is some thousand times as long.
#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

// Shared by the thread and its tracer.
struct Stepped {
  enum State : int { Begins, MayTrace, Executes, Done };
  std::atomic<int> state{Begins};
  std::atomic<std::uint32_t> signals{0}; // sent by the tracer
};

// In a process of its own, forked from a program with many threads: signal-safe throughout.
class SteppingTracer {
public:
  SteppingTracer(Stepped& stepped, pid_t process, pid_t thread, std::size_t body) noexcept
      : stepped_(stepped), process_(process), thread_(thread), body_(body) {}

  void trace() noexcept {
    if (::ptrace(PTRACE_SEIZE, thread_, nullptr, PTRACE_O_TRACESYSGOOD) != 0 ||
        ::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) != 0)
      return execute();
    while (wait() && event() != PTRACE_EVENT_STOP)
      ::ptrace(PTRACE_CONT, thread_, nullptr, WSTOPSIG(status_));
    execute();
    for (int n = 0; n < kMostSteps && WIFSTOPPED(status_) && !is_done(); ++n)
      if (!away_ && !in_call_ && !blocks_traps())
        step();
      else if (resume(PTRACE_SYSCALL))
        look_why_stopped();
    ::ptrace(PTRACE_DETACH, thread_, nullptr, pass_on_);
  }

private:
  static constexpr int kMostSteps = 20'000;
  static constexpr int kAtSystemCall = 0x80; // PTRACE_O_TRACESYSGOOD
  static constexpr std::uint64_t kTrapFlag = 0x100;
  static constexpr std::size_t kFlagBytes = 4; // of an instruction that pushes or pops the flags, at most
  static constexpr std::uint8_t kPushf = 0x9c, kPopf = 0x9d, kIret = 0xcf, kCall[] = {0x0f, 0x05};
  static constexpr std::uint8_t kOperandSize = 0x66, kRex = 0x40, kRexMask = 0xf0;

  bool is_done() const noexcept { return stepped_.state.load(std::memory_order_relaxed) == Stepped::Done; }
  void execute() noexcept {
    // pairs with the thread's wait
    stepped_.state.store(Stepped::Executes, std::memory_order_release);
  }
  int event() const noexcept { return status_ >> 16; }

  bool wait() noexcept {
    while (::waitpid(thread_, &status_, __WALL) < 0)
      if (errno != EINTR) {
        status_ = 0;
        return false;
      }
    return WIFSTOPPED(status_);
  }

  // True if the thread has stopped again. Passes on the signal of its last stop, whose handler begins with a clear flag.
  bool resume(__ptrace_request how) noexcept {
    ::ptrace(how, thread_, nullptr, pass_on_);
    if (pass_on_ != 0 && pass_on_ != SIGCHLD)
      steps_itself_ = false;
    pass_on_ = 0;
    return wait();
  }

  // A step would reset the program's handler (force_sig_info_to_task in kernel/signal.c).
  bool blocks_traps() const noexcept {
    std::uint64_t mask = 0;
    return ::ptrace(PTRACE_GETSIGMASK, thread_, sizeof mask, &mask) == 0 && (mask >> (SIGTRAP - 1) & 1) != 0;
  }

  // One instruction. A signal is asked for before each, but not twice at the same place, and none while one is pending
  // because the thread blocks it.
  void step() noexcept {
    user_regs_struct before{};
    if (::ptrace(PTRACE_GETREGS, thread_, nullptr, &before) != 0)
      return;
    if (!asked_ && !just_back_ && Signals::interrupt(process_, thread_, body_)) {
      asked_ = true;
      stepped_.signals.fetch_add(1, std::memory_order_relaxed);
    }
    just_back_ = false;
    its_own_step_ = steps_itself_;
    std::uint8_t code[kFlagBytes]{};
    if (pass_on_ == 0) // else the next instruction is a handler's
      read_memory_of(process_, Address{before.rip}, code);
    // By sigreturn a program may set the trap flag. After a step the kernel would take it for the step's.
    if (code[0] == kCall[0] && code[1] == kCall[1]) {
      if (resume(PTRACE_SYSCALL))
        look_why_stopped();
    } else if (resume(PTRACE_SINGLESTEP)) {
      look_at_trap_flag(before.rip, code);
      look_why_stopped();
    }
  }

  // Pushf stores the step's trap flag. Once popf or iret was stepped, the kernel takes the flag of every step for the
  // program's own (enable_single_step in arch/x86/kernel/step.c), and would leave it in signals' frames. The flag is the
  // program's own only if one of these, or sigreturn, has set it.
  void look_at_trap_flag(std::uint64_t stepped_from, const std::uint8_t (&code)[kFlagBytes]) noexcept {
    user_regs_struct now{};
    if (::ptrace(PTRACE_GETREGS, thread_, nullptr, &now) != 0)
      return;
    const bool executed = now.rip != stepped_from; // else a signal came first
    const std::uint8_t* opcode = code;
    while (opcode != code + kFlagBytes - 1 && (*opcode == kOperandSize || (*opcode & kRexMask) == kRex))
      ++opcode;
    const bool popped = executed && (*opcode == kPopf || *opcode == kIret);
    if (popped)
      steps_itself_ = (now.eflags & kTrapFlag) != 0;
    if (steps_itself_)
      return;
    if (executed && *opcode == kPushf) {
      const long word = ::ptrace(PTRACE_PEEKDATA, thread_, now.rsp, nullptr);
      ::ptrace(PTRACE_POKEDATA, thread_, now.rsp, static_cast<std::uint64_t>(word) & ~kTrapFlag);
    }
    if ((now.eflags & kTrapFlag) != 0) {
      now.eflags &= ~kTrapFlag;
      ::ptrace(PTRACE_SETREGS, thread_, nullptr, &now);
    }
    if (popped)
      have_steps_forgotten();
  }

  // A stop that is not of a step ends the kernel's account of steps. It comes before another instruction.
  void have_steps_forgotten() noexcept {
    if (::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) == 0)
      resume(PTRACE_CONT);
  }

  void look_why_stopped() noexcept {
    const int signal = WSTOPSIG(status_);
    siginfo_t info{};
    if (signal == (SIGTRAP | kAtSystemCall)) {
      in_call_ = !in_call_;
      look_whether_back();
    } else if (event() == 0 && ::ptrace(PTRACE_GETSIGINFO, thread_, nullptr, &info) == 0 && !is_step(info)) {
      pass_on_ = signal;
      if (away_ || !Signals::is_interruption(info))
        return;
      asked_ = false;
      away_ = ::ptrace(PTRACE_GETREGS, thread_, nullptr, &left_at_) == 0;
    }
  }

  // A trap that the program would not have without its tracer: of a step, or at a handler's first
  // instruction.
  bool is_step(const siginfo_t& info) const noexcept {
    if (away_ || info.si_signo != SIGTRAP)
      return false;
    return info.si_code == SIGTRAP || (info.si_code == TRAP_TRACE && !its_own_step_);
  }

  void look_whether_back() noexcept {
    user_regs_struct now{};
    if (in_call_ || ::ptrace(PTRACE_GETREGS, thread_, nullptr, &now) != 0)
      return;
    steps_itself_ = (now.eflags & kTrapFlag) != 0;
    if (away_ && now.rip == left_at_.rip && now.rsp == left_at_.rsp) {
      away_ = false;
      just_back_ = true;
    }
  }

  Stepped& stepped_;
  const pid_t process_, thread_;
  const std::size_t body_;
  int status_ = 0;
  int pass_on_ = 0;
  bool asked_ = false;        // a signal is on its way
  bool away_ = false;         // in its handler, which is not stepped
  bool just_back_ = false;    // where it was interrupted
  bool in_call_ = false;      // has entered a system call
  bool steps_itself_ = false; // has set the trap flag, as xol-vma does
  bool its_own_step_ = false; // the last one was
  user_regs_struct left_at_{};
};

pid_t start_tracer(Stepped& stepped, std::size_t body) {
  const pid_t process = ::getpid(), thread = current_thread();
  // The tracer has the handlers, but nobody's threads.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t tracer = ::fork();
  if (tracer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != process)
      ::_exit(0);
    // pairs with the thread's store
    while (stepped.state.load(std::memory_order_acquire) == Stepped::Begins) {
    }
    SteppingTracer(stepped, process, thread, body).trace();
    ::_exit(0);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (tracer > 0)
    ::prctl(PR_SET_PTRACER, tracer); // where Yama restricts ptrace; elsewhere it fails, and need not succeed
  return tracer;
}

} // namespace

namespace perform {

void Interrupt(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.controlled_ || !run.prober_->facts().may_be_stepped())
    return;
  void* const shared =
      ::mmap(nullptr, sizeof(Stepped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    return;
  auto& stepped = *new (shared) Stepped;
  if (const pid_t tracer = start_tracer(stepped, act.bodies[1]); tracer > 0) {
    // pairs with the tracer's wait
    stepped.state.store(Stepped::MayTrace, std::memory_order_release);
    while (stepped.state.load(std::memory_order_acquire) != Stepped::Executes &&
           ::waitpid(tracer, nullptr, WNOHANG) == 0) {
    }
    run.execute_own(thread, act.bodies[0]);
    stepped.state.store(Stepped::Done, std::memory_order_relaxed);
    while (::waitpid(tracer, nullptr, 0) < 0 && errno == EINTR) {
    }
    std::atomic_ref(run.scratch_.signals_sent[thread])
        .fetch_add(stepped.signals.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  ::munmap(shared, sizeof(Stepped));
}

} // namespace perform

} // namespace proberace
