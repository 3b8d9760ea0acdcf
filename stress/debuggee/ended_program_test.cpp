// A program that ends while it is probed: nothing waits for it.
#include "harness/code/admission.h"
#include "harness/code/target.h"
#include "harness/probe/registry.h"
#include "harness/ptrace/injected_calls.h"
#include "harness/ptrace/supervisor.h"

#include <csignal>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

pid_t start_waiting_program() {
  const pid_t program = ::fork();
  if (program == 0)
    for (;;)
      ::pause();
  return program;
}

// Returns at its exit event at the latest; it stays to be waited for.
void end(pid_t program) {
  ::kill(program, SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(program), &ended, WEXITED | WNOWAIT), 0);
}

} // namespace

TEST(EndedProgram, ArmsNothing) {
  const pid_t program = start_waiting_program();
  const Target self;
  const auto site = self.site_at(address_of(::dlsym(RTLD_DEFAULT, "getppid")));
  ASSERT_TRUE(site) << site.error().message;
  const auto instruction = Admission(self).admit(self.address_space(), *site);
  ASSERT_TRUE(instruction) << instruction.error().message;
  Supervisor supervisor(make_armer("poke"), make_stepper("xol-vma"));
  const Status attached = supervisor.attach(program);
  ASSERT_TRUE(attached) << attached.error().message;
  end(program);
  const Supervisor::Placement placement{*site, *instruction};
  const SiteResults armed = supervisor.arm({&placement, 1});
  ASSERT_EQ(armed.size(), 1U);
  ASSERT_FALSE(armed[0]);
  EXPECT_EQ(armed[0].error().message, "the program has ended");
  EXPECT_FALSE(supervisor.process_lives());
  EXPECT_TRUE(supervisor.detach());
}

// A call in its name waited five seconds for a thread of it, and gave another reason.
TEST(EndedProgram, IsNotWaitedFor) {
  const pid_t program = start_waiting_program();
  Tracees tracees;
  TracedMemory memory;
  ASSERT_TRUE(tracees.seize_all(program));
  ASSERT_TRUE(memory.open(program));
  InjectedCalls calls(tracees, memory, [&](Tracee& tracee) {
    tracee.queued = false;
    tracees.resume(tracee);
  });
  end(program);
  const auto result = calls.call(SYS_getppid, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "the program has ended");
}

} // namespace proberace
