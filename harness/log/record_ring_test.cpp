// A ring is written by a thread and by the signal handlers that interrupt it, wherever they do: here at every
// single instruction of an append, by single-stepping it.
#include "harness/log/record_ring.h"

#include "harness/base/sanitizer.h"

#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <ucontext.h>
#include <vector>

namespace proberace {

namespace {

constexpr std::uint32_t kOuter = 1;
constexpr std::uint32_t kNested = 2;

struct SteppedRing {
  RecordRing* ring;
  std::uint64_t nested_at;   // the step after which a record is appended from the handler
  std::uint64_t steps = 0;   // so far
  std::uint64_t ticket = 0;  // of the nested record
  std::uint64_t checked = 0; // records below are whole
  std::uint64_t unwritten = 0;
};
SteppedRing* stepped = nullptr;

// Records that were handed over must be written.
void look_at_what_is_handed_over(SteppedRing& s) {
  for (; s.checked < s.ring->filled(); ++s.checked)
    if (s.ring->block(s.checked / kBlockRecords).records[s.checked % kBlockRecords].kind != RecordKind::Hit)
      ++s.unwritten;
}

void on_step(int, siginfo_t*, void*) {
  SteppedRing& s = *stepped;
  if (++s.steps != s.nested_at)
    return;
  s.ring->append(RecordKind::Hit, kNested, s.ticket);
  look_at_what_is_handed_over(s);
}

// Appends one record with the trap flag set (Intel SDM vol. 3B, 18.3.1.4): a SIGTRAP after each instruction.
[[gnu::noinline]] void append_stepped(RecordRing& ring, std::uint64_t ticket) {
  asm volatile("subq $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\taddq $128, %%rsp"
               :
               :
               : "cc", "memory");
  ring.append(RecordKind::Hit, kOuter, ticket);
  asm volatile("subq $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\taddq $128, %%rsp"
               :
               :
               : "cc", "memory");
}

TEST(RecordRing, KeepsBothRecordsAtWhateverInstructionOneInterruptsTheOther) {
  if (kThreadSanitizer)
    GTEST_SKIP() << "not under ThreadSanitizer (sanitizer.h)";
  auto blocks = std::make_unique<LogBlock[]>(2);
  RecordRing ring({blocks.get(), 2}, 0, WhenFull::Drop);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_sigaction = &on_step;
  action.sa_flags = SA_SIGINFO;
  ASSERT_EQ(::sigaction(SIGTRAP, &action, &before), 0);
  SteppedRing s{&ring, 0};
  stepped = &s;
  std::uint64_t runs = 0;
  std::uint64_t held_back = 0; // runs after which not all was handed over
  do {
    s.nested_at = ++runs;
    s.steps = 0;
    s.ticket = runs;
    append_stepped(ring, runs);
    look_at_what_is_handed_over(s);
    held_back += ring.filled() == 2 * runs - (s.steps >= s.nested_at ? 0 : 1) ? 0 : 1;
  } while (s.steps >= s.nested_at);
  ::sigaction(SIGTRAP, &before, nullptr);

  EXPECT_GT(runs, 20U) << "an append has more instructions";
  EXPECT_EQ(s.unwritten, 0U) << "records were handed over before they were written";
  EXPECT_EQ(held_back, 0U);
  EXPECT_EQ(ring.dropped(), 0U);
  ASSERT_EQ(ring.filled(), 2 * runs - 1) << "one of each, but for the last run";
  std::vector<int> seen[2] = {std::vector<int>(runs + 1), std::vector<int>(runs + 1)};
  for (std::uint64_t n = 0; n < ring.filled(); ++n) {
    const HitRecord& r = ring.block(n / kBlockRecords).records[n % kBlockRecords];
    EXPECT_EQ(r.serial, n);
    ASSERT_TRUE(r.site == kOuter || r.site == kNested);
    ASSERT_LE(r.ticket, runs);
    ++seen[r.site - kOuter][r.ticket];
  }
  for (std::uint64_t run = 1; run <= runs; ++run) {
    EXPECT_EQ(seen[0][run], 1) << "the append that was interrupted at its instruction " << run;
    EXPECT_EQ(seen[1][run], run < runs ? 1 : 0) << "the one that interrupted it there";
  }
}

} // namespace

} // namespace proberace
