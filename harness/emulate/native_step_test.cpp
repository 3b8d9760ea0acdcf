#include "harness/emulate/native_step.h"

#include "harness/base/signal_action.h"
#include "harness/code/greg.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

namespace proberace {

namespace {

constexpr std::uint64_t kResumeFlag = 0x10000; // set in the image a fault pushes (SDM vol. 3A, 17.3.1.1)
constexpr int kSignals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

enum class Phase { Idle, Entering, Stepping };

// The one step in progress; touched by its own thread alone, also in its handlers.
volatile Phase phase = Phase::Idle;
RegisterFile wanted;
RegisterFile own;
NativeStep answer;

void exchange(ucontext_t& context, RegisterFile& saved, const RegisterFile& next) {
  for (const auto& [r, _] : kRegisters) {
    greg_t& word = context.uc_mcontext.gregs[greg(r)];
    saved[static_cast<std::size_t>(r)] = static_cast<std::uint64_t>(word);
    word = static_cast<greg_t>(next[static_cast<std::size_t>(r)]);
  }
}

void take(int signo, siginfo_t* info, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  if (phase == Phase::Entering) {
    exchange(context, own, wanted);
    context.uc_mcontext.gregs[REG_EFL] |= static_cast<greg_t>(kTrapFlag);
    phase = Phase::Stepping;
    return;
  }
  if (phase == Phase::Idle) {
    restore_signal_action(signo, SignalAction{}); // not of a step: let it be what it is
    return;
  }
  exchange(context, answer.after, own);
  answer.after[static_cast<std::size_t>(Register::Rflags)] &= ~(kTrapFlag | kResumeFlag);
  answer.fault.reset();
  if (signo != SIGTRAP || info->si_code != TRAP_TRACE)
    answer.fault = HardwareFault{signo, info->si_code, address_of(info->si_addr)};
  phase = Phase::Idle;
}

// The instruction may run with AC set: nothing of the compiler's own before it is cleared.
[[gnu::no_sanitize("thread", "address")]] void on_signal(int signo, siginfo_t* info, void* raw) {
  clear_alignment_check();
  take(signo, info, raw);
}

} // namespace

struct NativeStepper::Installed {
  std::vector<std::uint8_t> stack = std::vector<std::uint8_t>(256 * 1024);
  stack_t old_stack{};
  SignalAction old_actions[std::size(kSignals)];
};

NativeStepper::NativeStepper() : installed_(std::make_unique<Installed>()) {
  stack_t stack{};
  stack.ss_sp = installed_->stack.data();
  stack.ss_size = installed_->stack.size();
  ::sigaltstack(&stack, &installed_->old_stack);
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    installed_->old_actions[i] =
        install_signal_action(kSignals[i], &on_signal, SA_ONSTACK, 0).value_or(SignalAction{});
}

NativeStepper::~NativeStepper() {
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    restore_signal_action(kSignals[i], installed_->old_actions[i]);
  ::sigaltstack(&installed_->old_stack, nullptr);
}

NativeStep NativeStepper::step(const RegisterFile& registers) {
  wanted = registers;
  phase = Phase::Entering;
  asm volatile("int3" : : : "memory", "cc");
  return answer;
}

// The oracle itself: it runs one instruction, no more, and reports a fault where it happened.
TEST(NativeStep, RunsOneInstructionAndReportsFaults) {
  void* const page =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  constexpr std::uint8_t kCode[] = {0x48, 0xff, 0xc0, 0x48, 0x8b, 0x07}; // inc %rax; mov (%rdi),%rax
  std::memcpy(page, kCode, sizeof kCode);
  NativeStepper stepper;
  RegisterFile registers{};
  const auto at = [](RegisterFile& file, Register r) -> std::uint64_t& {
    return file[static_cast<std::size_t>(r)];
  };
  at(registers, Register::Rax) = 41;
  at(registers, Register::Rdi) = 0x10;
  at(registers, Register::Rip) = value(address_of(page));
  at(registers, Register::Rflags) = 0x202; // bit 1, and interrupts on
  NativeStep step = stepper.step(registers);
  EXPECT_FALSE(step.fault);
  EXPECT_EQ(at(step.after, Register::Rax), 42U);
  EXPECT_EQ(at(step.after, Register::Rip), value(address_of(page)) + 3);
  at(registers, Register::Rip) += 3;
  step = stepper.step(registers);
  ASSERT_TRUE(step.fault);
  EXPECT_EQ(step.fault->signal, SIGSEGV);
  EXPECT_EQ(step.fault->code, SEGV_MAPERR);
  EXPECT_EQ(step.fault->address, Address{0x10});
  EXPECT_EQ(step.after, registers);
  ::munmap(page, kPageBytes);
}

} // namespace proberace
