#include "stress/transparency/isa/bare_run.h"

#include "harness/base/signal_action.h"

#include <csignal>
#include <cstring>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr int kSignals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
constexpr std::size_t kStackBytes = 256 * 1024;

enum class Phase { Idle, Entering, Running };

// The one run in progress; touched by its own thread alone, also in its handlers.
volatile Phase phase = Phase::Idle;
const MachineState* wanted = nullptr;
MachineState own;
std::uint64_t mask_before = 0;
greg_t own_segments = 0;
RunEnd answer;
SignalAction previous[std::size(kSignals)];

std::uint64_t& mask_of(ucontext_t& frame) noexcept {
  return *reinterpret_cast<std::uint64_t*>(&frame.uc_sigmask); // the kernel's 8 bytes of libc's sigset_t
}

void take(int signo, siginfo_t* info, ucontext_t& frame) {
  switch (phase) {
  case Phase::Entering:
    own = state_in(frame);
    own.at(Register::Rip) += 2; // ud2
    mask_before = mask_of(frame);
    own_segments = frame.uc_mcontext.gregs[REG_CSGSFS];
    put_state(frame, *wanted);
    phase = Phase::Running;
    return;
  case Phase::Running:
    answer.state = state_in(frame);
    answer.state.at(Register::Rflags) &= ~(kTrapFlag | kResumeFlag);
    answer.fault = HardwareFault{signo, info->si_code, address_of(info->si_addr)};
    put_state(frame, own);
    mask_of(frame) = mask_before;
    frame.uc_mcontext.gregs[REG_CSGSFS] = own_segments; // a far branch may have changed the code segment
    phase = Phase::Idle;
    return;
  case Phase::Idle: // not of a run
    for (std::size_t i = 0; i < std::size(kSignals); ++i)
      if (kSignals[i] == signo)
        pass_on(previous[i], signo, info, &frame);
  }
}

// The code may run with AC set: nothing of the compiler's own before it is cleared.
void on_signal(int signo, siginfo_t* info, void* raw) {
  clear_alignment_check();
  take(signo, info, *static_cast<ucontext_t*>(raw));
}

} // namespace

struct BareRunner::Installed {
  void* stack = nullptr;
  stack_t old_stack{};
};

BareRunner::BareRunner() : installed_(std::make_unique<Installed>()) {
  (void)vector_fields(); // asks the processor now
  installed_->stack =
      ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  stack_t stack{};
  stack.ss_sp = installed_->stack;
  stack.ss_size = kStackBytes;
  ::sigaltstack(&stack, &installed_->old_stack);
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    previous[i] =
        install_signal_action(kSignals[i], &on_signal, SA_ONSTACK, kAllSignals).value_or(SignalAction{});
}

BareRunner::~BareRunner() {
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    restore_signal_action(kSignals[i], previous[i]);
  ::sigaltstack(&installed_->old_stack, nullptr);
  ::munmap(installed_->stack, kStackBytes);
}

const RunEnd& BareRunner::run(const MachineState& start) {
  wanted = &start;
  phase = Phase::Entering;
  // Flags that no signal frame restores (ID, NT) may be left from the last run.
  asm volatile("leaq -128(%%rsp), %%rsp\n\t"
               "pushq $0x202\n\t"
               "popfq\n\t"
               "leaq 128(%%rsp), %%rsp\n\t"
               "ud2"
               :
               :
               : "memory", "cc");
  return answer;
}

} // namespace proberace
