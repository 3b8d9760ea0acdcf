#include "harness/trap/thread_record.h"

#include "harness/base/membarrier.h"
#include "harness/base/threads.h"
#include "harness/code/decode.h"
#include "harness/trap/quiescence.h"

#include <csignal>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

std::uint64_t signal_counter = 0;
std::atomic<std::uint64_t> signals_taken = 0; // written by the handler alone, which is not nested

void count_in_signal(int) {
  count_one(signal_counter);
  signals_taken = signals_taken + 1;
}

// A function of its own, to be looked at in machine code.
[[gnu::noinline]] void count_here(std::uint64_t& counter) {
  count_one(counter);
}

} // namespace

TEST(ThreadRecords, H35_EachThreadCountsOnLinesOfItsOwn) {
  ThreadRecords records;
  records.sites_in_use(1);
  constexpr std::uint64_t kTimes = 200'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      ThreadRecord& mine = records.mine();
      for (std::uint64_t n = 0; n < kTimes; ++n)
        count_one(mine.hits[0]);
    });
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(records.total(0), 4 * kTimes) << "a shared counter without a lock would have lost some";
  std::vector<std::uintptr_t> pages;
  records.for_each([&](const ThreadRecord& r) {
    const auto at = reinterpret_cast<std::uintptr_t>(&r);
    EXPECT_EQ(at % kPageBytes, 0U);
    pages.push_back(at);
  });
  EXPECT_EQ(pages.size(), 4U);
}

TEST(ThreadRecords, H35_CountsAreKnownPerThread) {
  ThreadRecords records;
  records.sites_in_use(2);
  count_one(records.mine().hits[1]);
  pid_t other = 0;
  std::thread([&] {
    other = current_thread();
    count_one(records.mine().hits[1]);
    count_one(records.mine().hits[1]);
  }).join();
  EXPECT_EQ(records.of_thread(1, current_thread()), 1U);
  EXPECT_EQ(records.of_thread(1, other), 2U);
  EXPECT_EQ(records.of_thread(0, other), 0U);
}

TEST(ThreadRecords, H23_MoreThreadsThanRecordsAreKeptForLoseNothing) {
  ThreadRecords records;
  records.sites_in_use(1);
  constexpr int kThreads = 1000;
  for (int i = 0; i < kThreads; ++i)
    std::thread([&] { count_one(records.mine().hits[0]); }).join();
  EXPECT_EQ(records.total(0), static_cast<std::uint64_t>(kThreads));
  EXPECT_LT(records.size(), 300U) << "records of threads that ended were not taken over";
}

// A storm of signals whose handler counts too. Fails if the count is a load, an addition and a store.
TEST(ThreadRecords, H73_ACountNestedAnywhereInACountIsNotLost) {
  signal_counter = 0;
  signals_taken = 0;
  struct sigaction action {};
  action.sa_handler = &count_in_signal;
  struct sigaction before {};
  ::sigaction(SIGUSR2, &action, &before);
  const pid_t self = current_thread();
  constexpr std::uint64_t kSignals = 20'000;
  std::atomic<bool> done{false};
  std::thread storm([&] {
    for (std::uint64_t i = 0; i < kSignals; ++i) {
      const std::uint64_t seen = signals_taken;
      ::tgkill(::getpid(), self, SIGUSR2);
      while (signals_taken == seen) // a signal that is pending is not queued twice
        std::this_thread::yield();
    }
    done.store(true);
  });
  std::uint64_t counted = 0;
  while (!done.load(std::memory_order_relaxed)) {
    for (int i = 0; i < 100; ++i)
      count_here(signal_counter);
    counted += 100;
  }
  storm.join();
  ::sigaction(SIGUSR2, &before, nullptr);
  EXPECT_EQ(signals_taken, kSignals);
  EXPECT_EQ(signal_counter, counted + kSignals)
      << "a count was lost where a signal fell between load and store";
}

// The same in the machine code, which leaves nothing to chance: one instruction reads and writes the counter.
TEST(ThreadRecords, H73_TheCountIsOneInstruction) {
  const auto* code = reinterpret_cast<const std::uint8_t*>(&count_here);
  int memory_writers = 0;
  Address at = address_of(code);
  for (int i = 0; i < 64; ++i) {
    const auto instruction = decode(at, {bytes_at(at), kMaxInstructionBytes});
    ASSERT_TRUE(instruction) << describe(instruction.error());
    const std::string text = disassemble(*instruction);
    if (text.starts_with("add qword ptr") || text.starts_with("inc qword ptr"))
      ++memory_writers;
    EXPECT_FALSE(text.starts_with("mov") && text.find("rdi]") != text.npos) << "a split count: " << text;
    if (instruction->flow == Flow::Return)
      break;
    at = instruction->next();
  }
  EXPECT_EQ(memory_writers, 1);
}

TEST(Quiescence, WaitsForWhoeverIsInsideAndForNobodyElse) {
  ASSERT_TRUE(register_membarriers());
  ThreadRecords records;
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::atomic<bool> left{false};
  std::thread other([&] {
    ThreadRecord& mine = records.mine();
    {
      const Passage passage(mine);
      inside.store(true);
      while (!leave.load())
        std::this_thread::yield();
      left.store(true);
    }
  });
  while (!inside.load())
    std::this_thread::yield();
  std::thread releaser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    leave.store(true);
  });
  EXPECT_TRUE(quiesce(records));
  EXPECT_TRUE(left.load()) << "quiesce returned while a passage was going on";
  other.join();
  releaser.join();
  EXPECT_TRUE(quiesce(records)) << "nobody is inside";
}

TEST(Quiescence, ANestedPassageEndsWithItsOutermost) {
  ThreadRecords records;
  ThreadRecord& mine = records.mine();
  {
    const Passage outer(mine);
    EXPECT_FALSE(outer.nested());
    {
      const Passage inner(mine);
      EXPECT_TRUE(inner.nested());
    }
    EXPECT_EQ(mine.passages.load(), 0U);
    EXPECT_EQ(mine.depth.load(), 1U);
  }
  EXPECT_EQ(mine.passages.load(), 1U);
  EXPECT_EQ(mine.depth.load(), 0U);
}

} // namespace proberace
