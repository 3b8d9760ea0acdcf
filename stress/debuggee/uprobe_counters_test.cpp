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

INSTANTIATE_TEST_SUITE_P(Ways, UprobeCountersBy,
                         testing::Values(UprobeCounters::Way::Multi, UprobeCounters::Way::PerfEvents));

} // namespace proberace
