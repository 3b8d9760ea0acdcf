// A system call that a signal interrupts, restarted at its probed instruction: H69.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <cerrno>
#include <fmt/format.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// read(2), interrupted by a signal whose handler asks for a restart, restarts at an armed site.

PROBERACE_SNIPPET(Read, R"(
        xorl    %eax, %eax
        SITE
        syscall
        ret
)");

Verdict armed_system_call(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kRead});
  int ends[2];
  if (!code || ::pipe(ends) != 0)
    return verdict_of(code ? system_error("pipe", errno) : code.error());
  on_signal(
      SIGUSR1, [](int, siginfo_t*, void*) {}, SA_RESTART);
  std::atomic<pid_t> reader{0};
  long result = 0;
  std::thread worker([&] {
    char byte = 0;
    reader.store(::gettid(), std::memory_order_release); // pairs with the loop below
    result = (*code)->function<long(int, char*, std::size_t)>()(ends[0], &byte, 1);
  });
  while (reader.load(std::memory_order_acquire) == 0)
    ::usleep(100);
  ::usleep(3000); // it is in read by now, or will hit on its way in: one hit either way
  const Status inserted = (*code)->insert_all();
  if (inserted)
    ::tgkill(::getpid(), reader, SIGUSR1);
  ::usleep(3000);
  const bool written = ::write(ends[1], ".", 1) == 1;
  worker.join();
  if (!written || result != 1)
    return broken("system-call", fmt::format("read returned {}", result));
  if (!inserted)
    return inserted.error().kind == ErrorKind::InstructionUnsupported
               ? held("refused: " + describe(inserted.error()))
               : verdict_of(inserted.error());
  const std::uint64_t hits = (*code)->hits(0);
  return hits == 1 ? held() : broken("wrong-count", fmt::format("restarted once, {} hits", hits));
}

const bool interrupted_call_test_registered =
    register_experiment("test/armed-system-call", &armed_system_call);

// Not the kernel's uprobes: on Linux 6.18 the program dies of SIGSEGV at a PC it never had.
class InterruptedCall : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(InterruptedCall, H69_ARestartedSystemCallIsTheProgramsOwn) {
  PROBERACE_EXPECT_TEST_HELD("armed-system-call", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Strategies, InterruptedCall,
                         testing::ValuesIn(ours_promising({Promise::ExactCounts})), test_name);

} // namespace proberace
