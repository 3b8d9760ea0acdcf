#include "stress/debuggee/uprobe_counters.h"

#include "harness/code/target.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

constexpr int kCounted = 700; // by each of two threads

void call_getppid(int times) {
  for (int i = 0; i < times; ++i)
    (void)::getppid();
}

// Two threads call getppid once they are told to.
pid_t start_program(int go) {
  const pid_t process = ::fork();
  if (process != 0)
    return process;
  char byte = 0;
  (void)!::read(go, &byte, 1);
  std::thread other(call_getppid, kCounted);
  call_getppid(kCounted);
  other.join();
  ::_exit(0);
}

// Never executed.
asm(R"(
        .text
        .globl  uprobe_counters_test_halt
        .hidden uprobe_counters_test_halt
uprobe_counters_test_halt:
        hlt
)");
extern "C" const char uprobe_counters_test_halt[];

class UprobeCountersBy : public testing::TestWithParam<UprobeCounters::Way> {};

} // namespace

TEST_P(UprobeCountersBy, CountEachThreadOfOneProcessExactly) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "kernel uprobes need root";
  const Target self;
  const auto site = self.site_at(address_of(::dlsym(RTLD_DEFAULT, "getppid")));
  ASSERT_TRUE(site) << site.error().message;
  const auto space = self.address_space();
  const UprobeCounters::Place place{space.find(site->address)->path, site->file_offset};
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t program = start_program(go[0]);
  auto counters = UprobeCounters::attach(program, {&place, 1}, GetParam());
  ASSERT_TRUE(counters) << counters.error().message;
  call_getppid(100); // this process is another one
  (void)!::write(go[1], "x", 1);
  ::waitpid(program, nullptr, 0);
  counters->detach();
  const UprobeCounters::Counts counts = counters->read();
  EXPECT_EQ(counts.lost, 0U);
  ASSERT_EQ(counts.hits.at(0).size(), 2U);
  for (const auto& [thread, hits] : counts.hits[0])
    EXPECT_EQ(hits, std::uint64_t{kCounted}) << thread;
  EXPECT_TRUE(counts.hits[0].contains(program));
  ::close(go[0]);
  ::close(go[1]);
}

TEST_P(UprobeCountersBy, SayWhichOfManyPlacesIsRefused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "kernel uprobes need root";
  const Target self;
  const AddressSpace space = self.address_space();
  const auto place_of = [&](const void* code) {
    const Mapping& m = *space.find(address_of(code));
    return UprobeCounters::Place{m.path,
                                 m.file_offset + static_cast<std::uint64_t>(address_of(code) - m.start)};
  };
  const UprobeCounters::Place places[] = {place_of(::dlsym(RTLD_DEFAULT, "getppid")),
                                          place_of(uprobe_counters_test_halt),
                                          place_of(::dlsym(RTLD_DEFAULT, "getpid"))};
  const auto counters = UprobeCounters::attach(::getpid(), places, GetParam());
  ASSERT_FALSE(counters) << "the kernel arms hlt";
  EXPECT_EQ(counters.error().kind, ErrorKind::InstructionUnsupported) << counters.error().message;
  EXPECT_TRUE(
      counters.error().message.starts_with(fmt::format("{}+{:#x}: ", places[1].path, places[1].file_offset)))
      << counters.error().message;
}

INSTANTIATE_TEST_SUITE_P(Ways, UprobeCountersBy,
                         testing::Values(UprobeCounters::Way::Multi, UprobeCounters::Way::PerfEvents));

} // namespace proberace
