// A thread held at a chosen point while others insert and remove: exactly on the site (H09), inside the
// displaced instruction (H12), inside a hit (H37).
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include "harness/base/raw_syscall.h"
#include "stress/testing/wait_for.h"

#include <atomic>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::uint64_t kWord = 0x600df00d;

// ---- H09: a page fault that user space resolves (userfaultfd) holds the thread at the load, none of which
// is done; when it continues it executes the load again, which is armed by then.

Verdict stands_on_the_site(const Json& parameters, Arena&) {
  const int fault = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC));
  uffdio_api api{UFFD_API, 0, 0};
  void* const page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uffdio_register range{{value(address_of(page)), kPageBytes}, UFFDIO_REGISTER_MODE_MISSING, 0};
  if (fault < 0 || ::ioctl(fault, UFFDIO_API, &api) != 0 || ::ioctl(fault, UFFDIO_REGISTER, &range) != 0)
    return verdict_of(Error{ErrorKind::MachineLacks, {}, "no userfaultfd here"});
  auto code = ProbedCode::open(parameters.at("strategy"), {kLoad});
  if (!code)
    return verdict_of(code.error());
  std::uint64_t loaded = 0;
  std::thread worker([&] { loaded = (*code)->function<Load>()(static_cast<const std::uint64_t*>(page)); });
  pollfd waiting{fault, POLLIN, 0};
  while (::poll(&waiting, 1, -1) < 0) {
  }
  uffd_msg message{};
  const bool faulted = ::read(fault, &message, sizeof message) == sizeof message;
  const Status inserted = (*code)->insert_all();
  alignas(kPageBytes) static std::uint64_t content[kPageBytes / sizeof(std::uint64_t)] = {kWord};
  uffdio_copy copy{value(address_of(page)), value(address_of(content)), kPageBytes, 0, 0};
  ::ioctl(fault, UFFDIO_COPY, &copy);
  worker.join();
  if (!inserted)
    return verdict_of(inserted.error());
  if (!faulted || loaded != kWord)
    return broken("wrong-result", fmt::format("the load gave {:#x}", loaded));
  const std::uint64_t hits = (*code)->hits(0);
  return hits == 1 ? held() : broken("wrong-count", fmt::format("executed once after insert, {} hits", hits));
}

// ---- H12

std::atomic<int> parked{0};
std::atomic<int> release{0};
Address parked_pc{};
const GuardedPage* guarded = nullptr;

void park(int, siginfo_t*, void* context) {
  parked_pc = interrupted_pc(context);
  parked.store(1, std::memory_order_release); // pairs with wait_for
  wait_for(release);
  guarded->open();
}

// The first site is removed, another of the same page inserted and hit, while a thread is inside the first's
// displaced instruction.
Verdict parked_in_the_slot(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = first_error((*code)->prober().insert({{(*code)->site(0)}})); !inserted)
    return verdict_of(inserted.error());
  const GuardedPage page(kWord);
  guarded = &page;
  on_signal(SIGSEGV, &park);
  std::uint64_t loaded = 0;
  std::thread worker([&] { loaded = (*code)->function<Load>()(page.address()); });
  wait_for(parked);
  const Status removed = first_error((*code)->prober().remove({{(*code)->site(0)}}));
  const Status inserted = first_error((*code)->prober().insert({{(*code)->site(1)}}));
  const bool right = (*code)->function<Increment>(1)(1) == 2;
  release.store(1, std::memory_order_release); // pairs with wait_for
  worker.join();
  if (!removed || !inserted)
    return broken("operation", describe(removed ? inserted.error() : removed.error()));
  if (loaded != kWord || !right)
    return broken("wrong-result",
                  fmt::format("parked across a removal and an insertion, the load gave {:#x}", loaded));
  if ((*code)->hits(0) != 1 || (*code)->hits(1) != 1)
    return broken("wrong-count", fmt::format("{} and {} hits of 1 each", (*code)->hits(0), (*code)->hits(1)));
  if ((*code)->prober().promises().has(Promise::FaultsSeeOriginalPc) && !(*code)->holds(parked_pc))
    return broken("path", fmt::format("the thread was parked at {:#x}, outside the text", value(parked_pc)));
  const Status closed = (*code)->prober().close();
  if (!closed)
    return broken("close", describe(closed.error()));
  return held((*code)->holds(parked_pc) ? "parked at the site" : "parked in the slot");
}

// ---- H37

void park_in_hit(Hit&, void*) {
  if (parked.exchange(1, std::memory_order_acq_rel) == 0) // pairs with wait_for; the first hit only
    wait_for(release);
}

Verdict parked_in_a_hit(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  if (const Status set = (*code)->prober().set_handler(&park_in_hit, nullptr); !set)
    return needs_handler(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  std::uint64_t result = 0;
  std::thread worker([&] { result = (*code)->function<Increment>()(1); });
  wait_for(parked);
  std::atomic<int> removing{0};
  std::atomic<int> gone{0};
  Status removed;
  std::thread remover([&] {
    removing.store(1, std::memory_order_release); // pairs with wait_for
    removed = (*code)->remove_all();              // must wait for the hit
    gone.store(1, std::memory_order_release);     // pairs with the load below
  });
  wait_for(removing);
  ::usleep(3000);
  const bool too_soon = gone.load(std::memory_order_acquire) != 0;
  const std::uint64_t meanwhile = (*code)->function<Increment>()(5); // armed or not, it runs
  release.store(1, std::memory_order_release);                       // pairs with wait_for
  worker.join();
  remover.join();
  if (!removed)
    return broken("operation", describe(removed.error()));
  if (too_soon)
    return broken("not-waited", "remove returned while a hit of the site was still in its handler");
  const std::uint64_t hits = (*code)->hits(0);
  if (result != 2 || meanwhile != 6 || (*code)->function<Increment>()(3) != 4)
    return broken("wrong-result", "wrong result around a hit that took long");
  if (hits < 1 || hits > 2 || (*code)->hits(0) != hits)
    return broken("wrong-count", fmt::format("{} hits", hits));
  return held();
}

// More threads than processors, of the class that runs last, so that they are off the processor for long at
// any point; a neighbour on their page is toggled meanwhile.
Verdict idle_threads(const Json& parameters, Arena&) {
  constexpr std::uint64_t kThreads = 8;
  constexpr std::uint64_t kTimes = 100;
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  std::atomic<int> go{0};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      const sched_param none{};
      ::sched_setscheduler(0, SCHED_IDLE, &none);
      wait_for(go);
      for (std::uint64_t i = 0; i < kTimes; ++i)
        wrong.fetch_add((*code)->function<Increment>()(i) == i + 1 ? 0 : 1,
                        std::memory_order_relaxed); // a count
    });
  Status done = first_error((*code)->prober().insert({{(*code)->site(0)}}));
  go.store(1, std::memory_order_release); // pairs with wait_for
  for (int round = 0; done && round < (removes_slowly(parameters) ? 1 : 15); ++round) {
    done = first_error((*code)->prober().insert({{(*code)->site(1)}}));
    if (done)
      done = first_error((*code)->prober().remove({{(*code)->site(1)}}));
  }
  for (std::thread& thread : threads)
    thread.join();
  if (!done)
    return verdict_of(done.error());
  const std::uint64_t hits = (*code)->hits(0);
  if (wrong != 0 || hits != kThreads * kTimes)
    return broken("wrong-count", fmt::format("{} executions, {} hits, {} wrong results", kThreads * kTimes,
                                             hits, wrong.load(std::memory_order_relaxed)));
  return held();
}

const bool parked_hazards_test_registered =
    register_experiment("test/stands-on-the-site", &stands_on_the_site) &&
    register_experiment("test/parked-in-the-slot", &parked_in_the_slot) &&
    register_experiment("test/parked-in-a-hit", &parked_in_a_hit) &&
    register_experiment("test/idle-threads", &idle_threads);

// A thread in a hit holds signals back. Where each thread must answer one, removal is refused, in words,
// until the hit is over.
std::vector<std::string> patient(std::vector<std::string> strategies) {
  std::erase_if(strategies, [](const std::string& s) { return facts_of(s).threads_must_answer; });
  return strategies;
}

class Parked : public testing::TestWithParam<std::string> {};
class ParkedInside : public testing::TestWithParam<std::string> {};

} // namespace

TEST_P(Parked, H09_AThreadStoppedOnTheSiteIsHitWhenItGoesOn) {
  PROBERACE_EXPECT_TEST_HELD("stands-on-the-site", GetParam());
}

// Fails if a slot is given to another site, or emptied, at removal. It is parked by a signal handler that
// interrupts the displaced instruction, which only what is re-entrant need survive.
TEST_P(ParkedInside, H12_AThreadInsideAStepCompletesItsOwnInstruction) {
  PROBERACE_EXPECT_TEST_HELD("parked-in-the-slot", GetParam());
  const Facts facts = facts_of(GetParam());
  const bool leaves_by_a_jump = facts.paths.only({Path::SlotJump, Path::ThreadSlot});
  if (leaves_by_a_jump && facts.handled_by == HandledBy::Thread) {
    EXPECT_EQ(v.summary, "parked in the slot");
  }
}

TEST_P(Parked, H37_AHitThatTakesLongIsWaitedFor) {
  PROBERACE_EXPECT_TEST_HELD("parked-in-a-hit", GetParam());
}

TEST_P(Parked, H37_ThreadsThatRunLastAreCountedExactly) {
  PROBERACE_EXPECT_TEST_HELD("idle-threads", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Strategies, Parked,
                         testing::ValuesIn(patient(strategies_promising({Promise::ExactCounts,
                                                                         Promise::RemovalWhileRunning}))),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Strategies, ParkedInside,
                         testing::ValuesIn(patient(strategies_promising(
                             {Promise::ExactCounts, Promise::RemovalWhileRunning, Promise::Reentrant}))),
                         test_name);

} // namespace proberace
