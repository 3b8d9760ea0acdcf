// Hazards of patches of several bytes: H03, H04, H17, H33, H66; and a test that a pun was really used
// (springboards: jump_springboard_test.cpp). Hits are counted inline here, without a hit handler, which hunts
// do not try.
#include "harness/base/process_memory.h"
#include "stress/hazards/jump_code.h"

#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

namespace proberace {

namespace {

// mov %rdi,%rax; inc %rax; ret, and nothing behind the function but zeros: only a pun fits.
const Code kMovIncRet{0x48, 0x89, 0xf8, 0x48, 0xff, 0xc0, 0xc3, 0, 0, 0, 0, 0};

Verdict pun(const Json&, Arena&) {
  JumpedCode o;
  if (const Status opened = open(o, kMovIncRet, {{0, 7}}); !opened)
    return verdict_of(opened.error());
  const Site site = o.site(0);
  if (const Status inserted = first_error(o.prober->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  const bool jumps = o.byte(0) == 0xE9 || o.byte(1) == 0xE9 || o.byte(2) == 0xE9;
  for (std::size_t i = 3; i < kMovIncRet.size(); ++i)
    if (o.byte(i) != kMovIncRet[i])
      return broken("bytes", fmt::format("byte {} of another instruction changed", i));
  if (!jumps)
    return broken("patch", "no jump is there");
  for (std::uint64_t i = 0; i < 100; ++i)
    if (o.call(0, i) != i + 1)
      return broken("wrong-result", "the probed function is wrong");
  // H04: the instruction behind, a part of the jump, is branched to by itself.
  if (const std::uint64_t before = o.prober->hits(site); o.call(6, 0), o.prober->hits(site) != before)
    return broken("wrong-count", "a branch behind the site counted");
  if (const Status removed = first_error(o.prober->remove({{site}})); !removed)
    return verdict_of(removed.error());
  if (o.byte(0) != kMovIncRet[0] || o.byte(1) != kMovIncRet[1] || o.byte(2) != kMovIncRet[2])
    return broken("bytes", "the original is not back");
  return count_is(o, site, 100);
}

// H04: xor %eax,%eax; [site: inc %rdi, 3 bytes]; L: lea 1(%rdi,%rax),%rax ... a loop whose branch leads to L,
// inside the pun's jump.
Verdict branch_into_pun(const Json&, Arena&) {
  //  0: mov $3,%ecx   5: inc %rdi   8: dec %rcx   11: jnz 8   13: mov %rdi,%rax   16: ret
  const Code code{0xb9, 3,    0,    0,    0,    0x48, 0xff, 0xc7, 0x48, 0xff, 0xc9,
                  0x75, 0xfb, 0x48, 0x89, 0xf8, 0xc3, 0,    0,    0,    0,    0};
  JumpedCode o;
  if (const Status opened = open(o, code, {{0, 17}}); !opened)
    return verdict_of(opened.error());
  const Site site = o.site(5);
  if (const Status inserted = first_error(o.prober->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  for (std::uint64_t i = 0; i < 100; ++i)
    if (o.call(0, i) != i + 1)
      return broken("wrong-result", "a branch behind the site went wrong");
  return count_is(o, site, 100);
}

// H66: both orders, and free again after removal.
Verdict overlap(const Json&, Arena&) {
  JumpedCode o;
  if (const Status opened = open(o, kMovIncRet, {{0, 7}}); !opened)
    return verdict_of(opened.error());
  const Site first = o.site(0);
  const Site second = o.site(3);
  for (const auto& [armed, refused] : {std::pair{first, second}, std::pair{second, first}}) {
    if (const Status inserted = first_error(o.prober->insert({{armed}})); !inserted)
      return verdict_of(inserted.error());
    const Status other = o.prober->insert({{refused}})[0];
    if (other || other.error().kind != ErrorKind::Conflict)
      return broken("conflict", other ? "accepted" : describe(other.error()));
    if (o.call(0, 7) != 8)
      return broken("wrong-result", "after a refusal");
    if (const Status removed = first_error(o.prober->remove({{armed}})); !removed)
      return verdict_of(removed.error());
  }
  const SiteResults both = o.prober->insert({{first, second}});
  if (!both[0] || both[1] || both[1].error().kind != ErrorKind::Conflict)
    return broken("conflict", "within one batch");
  return held();
}

// H17, H01: a five-byte instruction across a line or a page, patched and unpatched under another core's
// fetch.
Verdict straddling(const Json& parameters, Arena&) {
  const std::size_t at = parameters.at("offset");
  Code code(2 * kPageBytes, kInt3);
  const Code body{0x48, 0x8d, 0x47, 0x01, 0x48, 0x05, 1, 0, 0, 0, 0x48, 0xff, 0xc8, 0xc3};
  std::copy(body.begin(), body.end(), code.begin() + static_cast<std::ptrdiff_t>(at - 4));
  JumpedCode o;
  if (const Status opened = open(o, code, {{at - 4, body.size()}}); !opened)
    return verdict_of(opened.error());
  const Site site = o.site(at);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> executions[2]{};
  std::vector<std::thread> threads;
  for (auto& mine : executions)
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        if (o.call(at - 4, 5) != 6)
          wrong.fetch_add(1);
        mine.fetch_add(1, std::memory_order_relaxed);
      }
    });
  Status done;
  std::string moved;
  for (int round = 0; done && round < 300; ++round) {
    done = first_error(o.prober->insert({{site}}));
    if (done)
      done = first_error(o.prober->remove({{site}}));
    const std::uint64_t hits = o.prober->hits(site);
    std::this_thread::yield();
    if (o.prober->hits(site) != hits)
      moved = "the count moved while clear";
  }
  const Status inserted = first_error(o.prober->insert({{site}}));
  const auto ran_so_far = [&] { return executions[0].load() + executions[1].load(); };
  const std::uint64_t ran_at_most = ran_so_far();
  const std::uint64_t before = o.prober->hits(site);
  const std::uint64_t ran_at_least = ran_so_far();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  stop.store(true);
  for (std::thread& t : threads)
    t.join();
  const std::uint64_t counted = o.prober->hits(site) - before;
  const std::uint64_t least = ran_so_far() - ran_at_least;
  const std::uint64_t most = ran_so_far() - ran_at_most;
  if (!done || !inserted)
    return verdict_of(done ? inserted.error() : done.error());
  if (wrong.load() != 0 || !moved.empty())
    return broken("torn", fmt::format("{} wrong results; {}", wrong.load(), moved));
  // Each thread may be between its count and its own note of it, at both ends.
  return counted + 4 >= least && counted <= most + 4
             ? held()
             : broken("wrong-count", fmt::format("{} to {} executions, {} hits", least, most, counted));
}

// Many sites in one batch, executed by two threads, counted inline, exact in sum and per thread (H35).
Verdict batch(const Json&, Arena&) {
  constexpr std::size_t kSites = 10'000;
  constexpr std::size_t kSpacing = 16;
  const Code body{0x0f, 0x1f, 0x44, 0x00, 0x00, 0x48, 0x8d, 0x47, 0x01, 0xc3};
  Code code(kSites * kSpacing, kInt3);
  for (std::size_t i = 0; i < kSites; ++i)
    std::copy(body.begin(), body.end(), code.begin() + static_cast<std::ptrdiff_t>(i * kSpacing));
  JumpedCode o;
  if (const Status opened = open(o, code, {}); !opened)
    return verdict_of(opened.error());
  const AddressSpace space = o.target.address_space();
  std::vector<Site> sites;
  for (std::size_t i = 0; i < kSites; ++i) {
    o.target.add_function(o.at(i * kSpacing), body.size(), "nop5");
    sites.push_back(*o.target.site_at(space, o.at(i * kSpacing)));
  }
  const auto begin = std::chrono::steady_clock::now();
  if (const Status inserted = first_error(o.prober->insert(sites)); !inserted)
    return verdict_of(inserted.error());
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  pid_t ids[2]{};
  std::vector<std::thread> threads;
  for (pid_t& id : ids)
    threads.emplace_back([&] {
      id = ::gettid();
      for (int round = 0; round < 3; ++round)
        for (std::size_t i = 0; i < kSites; ++i)
          (void)o.call(i * kSpacing, i);
    });
  for (std::thread& t : threads)
    t.join();
  if (const Status removed = first_error(o.prober->remove(sites)); !removed)
    return verdict_of(removed.error());
  for (const Site& site : sites)
    if (o.prober->hits(site) != 6 || *o.prober->hits(site, ids[0]) != 3 || *o.prober->hits(site, ids[1]) != 3)
      return broken("wrong-count", fmt::format("{} hits", o.prober->hits(site)));
  Verdict v = held(fmt::format("{:.2f} µs a site", took.count() / kSites));
  return v;
}

// H33 and H34 on the inline way: carry and overflow set before, a word kept in the red zone.
Verdict red_zone_and_flags(const Json&, Arena&) {
  // 0: mov %rdi,-8(%rsp); 5: mov $0x7fffffff,%eax; 10: add $1,%eax (OF); 13: stc; 14: nop5 (site);
  // 19: seto %cl; 22: adc $0,%cl... rax = -8(%rsp) + OF + CF - 1
  const Code code{0x48, 0x89, 0x7c, 0x24, 0xf8, 0xb8, 0xff, 0xff, 0xff, 0x7f, 0x83, 0xc0, 0x01,
                  0xf9, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0x0f, 0x90, 0xc1, 0x80, 0xd1, 0x00, 0x0f,
                  0xb6, 0xc9, 0x48, 0x8b, 0x44, 0x24, 0xf8, 0x48, 0x8d, 0x44, 0x08, 0xff, 0xc3};
  JumpedCode o;
  if (const Status opened = open(o, code, {{0, code.size()}}); !opened)
    return verdict_of(opened.error());
  if (const std::uint64_t unprobed = o.call(0, 5); unprobed != 6)
    return broken("setup", fmt::format("unprobed: {}", unprobed));
  const Site site = o.site(14);
  if (const Status inserted = first_error(o.prober->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  for (std::uint64_t i = 0; i < 100; ++i)
    if (o.call(0, i) != i + 1)
      return broken("state", "the red zone or a flag was not kept");
  return count_is(o, site, 100);
}

// H39: the thread continues with the registers that a handler wrote.
Verdict changes(const Json&, Arena&) {
  JumpedCode o;
  if (const Status opened = open(o, kMovIncRet, {{0, 7}}); !opened)
    return verdict_of(opened.error());
  static Address behind;
  behind = o.at(3);
  (void)o.prober->set_handler(
      [](Hit& hit, void*) {
        hit.context.set(Register::Rax, 41);
        if (hit.context.get(Register::Rdi) == 1)
          hit.context.set_pc(behind);
        else
          hit.context.set(Register::Rdi, 99);
      },
      nullptr);
  if (const Status inserted = first_error(o.prober->insert({{o.site(0)}})); !inserted)
    return verdict_of(inserted.error());
  if (o.call(0, 1) != 42 || o.call(0, 2) != 100)
    return broken("changes", "a changed register or PC did not take effect");
  return o.prober->paths()[Path::Redirected] == 1 ? held() : broken("path", "not redirected");
}

// H03: a thread stands before every instruction around the site, by its own trap flag, while the site is
// armed.
Prober* parked_prober = nullptr;
Site parked_site;
int parked_steps = 0;
int parked_operations = 0;
int arm_at_step = 0;

void arm_while_parked(int, siginfo_t*, void* raw) {
  if (++parked_steps != arm_at_step)
    return;
  std::thread([] {
    parked_operations += parked_prober->insert({{parked_site}})[0].has_value() ? 1 : 0;
  }).join();
  static_cast<ucontext_t*>(raw)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

Verdict armed_while_parked(const Json&, Arena&) {
  // 0: lea 1(%rdi),%rdi 4: mov %rdi,%rax (site) 7: dec %rax 10: inc %rax 13: ret
  const Code code{0x48, 0x8d, 0x7f, 0x01, 0x48, 0x89, 0xf8, 0x48, 0xff, 0xc8,
                  0x48, 0xff, 0xc0, 0xc3, 0,    0,    0,    0,    0};
  JumpedCode o;
  struct sigaction action {};
  action.sa_sigaction = &arm_while_parked;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &action, nullptr); // before open: single steps are passed on to it
  if (const Status opened = open(o, code, {{0, 14}}); !opened)
    return verdict_of(opened.error());
  parked_prober = o.prober.get();
  parked_site = o.site(4);
  std::uint64_t expected = 0;
  for (arm_at_step = 1; arm_at_step <= 9; ++arm_at_step) {
    parked_steps = 0;
    parked_operations = 0;
    std::uint64_t result = 0;
    asm volatile("leaq -256(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcall *%[code]\n\t"
                 "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tleaq 256(%%rsp), %%rsp"
                 : "=a"(result)
                 : [code] "r"(bytes_at(o.at(0))), "D"(std::uint64_t{5})
                 : "memory", "cc", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
    if (result != 6)
      return broken("wrong-result", fmt::format("armed at step {}: {}", arm_at_step, result));
    if (parked_operations != 1)
      return broken("setup", fmt::format("not armed at step {}", arm_at_step));
    // Steps stop before: call's target, mov, dec, inc, ret. Before the site or on it: the execution counts.
    const std::uint64_t hits = o.prober->hits(parked_site);
    if (hits < expected || hits > expected + 1)
      return broken("wrong-count", fmt::format("{} hits after step {}", hits, arm_at_step));
    expected = hits;
    if (const Status removed = first_error(o.prober->remove({{parked_site}})); !removed)
      return verdict_of(removed.error());
  }
  return expected >= 2 && expected < 9 ? held()
                                       : broken("wrong-count", fmt::format("{} of 9 counted", expected));
}

const bool jump_hazards_test_registered =
    register_experiment("test/jump-pun", &pun) &&
    register_experiment("test/jump-branch-into-pun", &branch_into_pun) &&
    register_experiment("test/jump-overlap", &overlap) &&
    register_experiment("test/jump-straddling", &straddling) &&
    register_experiment("test/jump-batch", &batch) &&
    register_experiment("test/jump-red-zone-and-flags", &red_zone_and_flags) &&
    register_experiment("test/jump-changes", &changes) &&
    register_experiment("test/jump-parked", &armed_while_parked);

} // namespace

TEST(Jump, H03_AThreadThatStandsAnywhereAroundTheSiteGoesOnRight) {
  expect_jump_held("test/jump-parked");
}

TEST(Jump, H04_APunWritesNoByteOfAnotherInstruction) {
  expect_jump_held("test/jump-pun");
}

TEST(Jump, H04_ABranchIntoTheBytesOfAPunFindsThemWhole) {
  expect_jump_held("test/jump-branch-into-pun");
}

TEST(Jump, H17_APatchAcrossACacheLineIsNeverTorn) {
  expect_jump_held("test/jump-straddling", Json{{"offset", 126}});
}

TEST(Jump, H17_APatchAcrossAPageIsNeverTorn) {
  expect_jump_held("test/jump-straddling", Json{{"offset", kPageBytes - 2}});
}

TEST(Jump, H33_H34_TheRedZoneAndTheFlagsPassThroughATrampoline) {
  expect_jump_held("test/jump-red-zone-and-flags");
}

TEST(Jump, H35_TenThousandSitesInOneBatchCountExactly) {
  RecordProperty("cost", expect_jump_held("test/jump-batch").summary);
}

TEST(Jump, H39_AHandlersChangesTakeEffect) {
  expect_jump_held("test/jump-changes");
}

TEST(Jump, H66_OverlappingSitesAreRefusedInBothOrders) {
  expect_jump_held("test/jump-overlap");
}

} // namespace proberace
