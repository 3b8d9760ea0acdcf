#include "stress/debuggee/uprobe_counters.h"

#include "harness/code/target.h"

#include <csignal>
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
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

// A child that does `work` once it is told to. The tests' process is another one, and is not counted.
template <typename Work> class Program {
public:
  explicit Program(Work work) {
    EXPECT_EQ(::pipe(go_), 0);
    process_ = ::fork();
    if (process_ != 0)
      return;
    char byte = 0;
    (void)!::read(go_[0], &byte, 1);
    work();
    ::_exit(0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    ::close(go_[0]);
    ::close(go_[1]);
    if (ended_)
      return;
    ::kill(process_, SIGKILL); // it waits for its pipe if an assertion failed
    ::waitpid(process_, nullptr, 0);
  }
  pid_t process() const { return process_; }
  void work_to_the_end() {
    (void)!::write(go_[1], "x", 1);
    ::waitpid(process_, nullptr, 0);
    ended_ = true;
  }

private:
  int go_[2]{};
  pid_t process_ = -1;
  bool ended_ = false;
};

UprobeCounters::Place place_of(const void* code) {
  const AddressSpace space = Target().address_space();
  const Mapping& m = *space.find(address_of(code));
  return {address_of(code), m.path, m.file_offset + static_cast<std::uint64_t>(address_of(code) - m.start)};
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
  const UprobeCounters::Place place = place_of(::dlsym(RTLD_DEFAULT, "getppid"));
  Program program([] {
    std::thread other(call_getppid, kCounted);
    call_getppid(kCounted);
    other.join();
  });
  auto counters = UprobeCounters::attach(program.process(), {&place, 1}, GetParam());
  ASSERT_TRUE(counters) << counters.error().message;
  call_getppid(100);
  program.work_to_the_end();
  counters->detach();
  const UprobeCounters::Counts counts = counters->read();
  EXPECT_EQ(counts.lost, 0U);
  ASSERT_EQ(counts.hits.at(0).size(), 2U);
  for (const auto& [thread, hits] : counts.hits[0])
    EXPECT_EQ(hits, std::uint64_t{kCounted}) << thread;
  EXPECT_TRUE(counts.hits[0].contains(program.process()));
}

// As a library has in a second namespace of the dynamic linker. The kernel arms the place in both.
TEST_P(UprobeCountersBy, CountTwoMappingsOfOnePlaceApart) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "kernel uprobes need root";
  const UprobeCounters::Place first = place_of(::dlsym(RTLD_DEFAULT, "getppid"));
  const int file = ::open(first.path.c_str(), O_RDONLY | O_CLOEXEC);
  const std::uint64_t page = first.file_offset & ~std::uint64_t{kPageBytes - 1};
  void* const again =
      ::mmap(nullptr, 2 * kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, static_cast<off_t>(page));
  ASSERT_NE(again, MAP_FAILED);
  ::close(file);
  const UprobeCounters::Place second{address_of(again) +
                                         static_cast<std::ptrdiff_t>(first.file_offset - page),
                                     first.path, first.file_offset};
  Program program([&] {
    const auto other = reinterpret_cast<pid_t (*)()>(value(second.address));
    for (int i = 0; i < 30; ++i)
      (void)other();
    call_getppid(20);
  });
  const UprobeCounters::Place places[] = {second, first};
  auto both = UprobeCounters::attach(program.process(), places, GetParam());
  ASSERT_TRUE(both) << both.error().message;
  auto one = UprobeCounters::attach(program.process(), {&first, 1}, GetParam());
  ASSERT_TRUE(one) << one.error().message;
  program.work_to_the_end();
  ::munmap(again, 2 * kPageBytes);
  EXPECT_EQ(both->read().hits.at(0)[program.process()], 30U);
  EXPECT_EQ(both->read().hits.at(1)[program.process()], 20U);
  EXPECT_EQ(one->read().hits.at(0)[program.process()], 20U);
}

TEST_P(UprobeCountersBy, SayWhichOfManyPlacesIsRefused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "kernel uprobes need root";
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
