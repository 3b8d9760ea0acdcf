// auto: what it chooses, and that its two members do not get in each other's way.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <fmt/format.h>
#include <thread>

namespace proberace {

namespace {

// Its copy would read the operand after a push, 8 bytes further from rsp than its one byte can say: no jump.
PROBERACE_SNIPPET(CallThroughStack, R"(
        leaq    1f(%rip), %rax
        leaq    -256(%rsp), %rsp
        movq    %rax, 127(%rsp)
        SITE
        callq   *127(%rsp)
        leaq    256(%rsp), %rsp
        ret
1:      leaq    1(%rdi), %rax
        ret
)");

// Three bytes each: a pun of one is made of the next one's bytes too.
PROBERACE_SNIPPET(Neighbours, R"(
        SITE
        movq    %rdi, %rax
        SITE
        incq    %rax
        SITE
        incq    %rax
        SITE
        decq    %rax
        ret
)");

Verdict chooses(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 20;
  auto code = ProbedCode::armed(parameters, {kIncrement, kCallThroughStack});
  if (!code)
    return verdict_of(code.error());
  std::int64_t mapped_at_first = 0;
  for (std::uint64_t i = 0; i < kTimes; ++i) {
    for (const std::size_t body : {0, 1})
      if ((*code)->function<Increment>(body)(i) != i + 1)
        return broken("wrong-result", fmt::format("body {} of {}", body, i));
    if (i == 0)
      mapped_at_first = (*code)->prober().footprint().mapped_bytes;
  }
  if ((*code)->prober().footprint().mapped_bytes != mapped_at_first)
    return broken("footprint", "a thread's later hits map more records");
  const PathCounts paths = (*code)->prober().paths();
  const bool may_jump = parameters.at("jumps");
  const std::uint64_t jumped = may_jump ? kTimes : 0;
  if ((*code)->hits(0) != kTimes || (*code)->hits(1) != kTimes || paths[Path::Trampoline] != jumped ||
      paths[Path::Emulated] != 2 * kTimes - jumped || paths[Path::ForeignTrap] != 0)
    return broken("path", fmt::format("{} and {} hits, {} by trampoline, {} emulated, {} foreign traps",
                                      (*code)->hits(0), (*code)->hits(1), paths[Path::Trampoline],
                                      paths[Path::Emulated], paths[Path::ForeignTrap]));
  const Status removed = (*code)->remove_all();
  return removed ? held() : broken("remove", describe(removed.error()));
}

// ---- a hit inside the hit handler, taken by the other member

ProbedCode* nested_code = nullptr;
std::uint64_t calls = 0;

void hit_the_other(Hit& hit, void*) {
  ++calls;
  const std::size_t other = hit.site == nested_code->site(0) ? 1 : 0;
  (void)nested_code->function<Increment>(other)(7);
}

Verdict nested(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 20;
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kCallThroughStack});
  if (!code)
    return verdict_of(code.error());
  nested_code = code->get();
  if (const Status set = (*code)->prober().set_handler(&hit_the_other, nullptr); !set)
    return verdict_of(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  for (std::uint64_t i = 0; i < kTimes; ++i)
    for (const std::size_t body : {0, 1})
      if ((*code)->function<Increment>(body)(i) != i + 1)
        return broken("wrong-result", fmt::format("body {} of {}", body, i));
  const std::uint64_t executed = 2 * kTimes; // of each body: by the test, and by the handler
  return calls == executed && (*code)->hits(0) == executed && (*code)->hits(1) == executed
             ? held()
             : broken("wrong-count",
                      fmt::format("{} calls of the handler, {} and {} hits, {} executions of each", calls,
                                  (*code)->hits(0), (*code)->hits(1), executed));
}

// ---- every neighbour asked for, in every order of two batches: armed exactly, or refused as a conflict

Verdict neighbours(const Json& parameters, Arena&) {
  for (unsigned first = 1; first < 16; ++first) { // the sites of the first batch, as bits
    auto code = ProbedCode::open(parameters.at("strategy"), {kNeighbours});
    if (!code)
      return verdict_of(code.error());
    Prober& prober = (*code)->prober();
    std::vector<std::size_t> armed;
    for (const bool in_first : {true, false})
      for (std::size_t site = 0; site < 4; ++site) {
        if (((first >> site & 1) != 0) != in_first)
          continue;
        const Status inserted = prober.insert({{(*code)->site(site)}})[0];
        if (inserted)
          armed.push_back(site);
        else if (inserted.error().kind != ErrorKind::Conflict || site == 0 ||
                 prober.way((*code)->site(site - 1)) != "pun") // which alone is made of this one's bytes
          return broken("refusal",
                        fmt::format("order {}, site {}: {}", first, site, describe(inserted.error())));
      }
    constexpr std::uint64_t kTimes = 10;
    while (!armed.empty()) {
      std::vector<std::uint64_t> before;
      for (const std::size_t site : armed)
        before.push_back((*code)->hits(site));
      for (std::uint64_t i = 0; i < kTimes; ++i)
        if ((*code)->function<Increment>()(i) != i + 1)
          return broken("wrong-result", fmt::format("order {}, {} sites armed", first, armed.size()));
      for (std::size_t n = 0; n < armed.size(); ++n)
        if ((*code)->hits(armed[n]) != before[n] + kTimes)
          return broken("wrong-count", fmt::format("order {}, site {}", first, armed[n]));
      if (const Status removed = prober.remove({{(*code)->site(armed.back())}})[0]; !removed)
        return broken("remove", describe(removed.error()));
      armed.pop_back();
    }
    if (const Status closed = prober.close(); !closed)
      return broken("close", describe(closed.error()));
  }
  return held();
}

// ---- every neighbour asked for in one call, beside a body with room for a jump: all are armed, and that one jumps

Verdict all_neighbours(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 10;
  auto code = ProbedCode::armed(parameters, {kNeighbours, kIncrement});
  if (!code)
    return verdict_of(code.error());
  for (std::uint64_t i = 0; i < kTimes; ++i)
    for (const std::size_t body : {0, 1})
      if ((*code)->function<Increment>(body)(i) != i + 1)
        return broken("wrong-result", fmt::format("body {} of {}", body, i));
  for (std::size_t site = 0; site < (*code)->sites().size(); ++site)
    if ((*code)->hits(site) != kTimes)
      return broken("wrong-count", fmt::format("site {}: {} hits", site, (*code)->hits(site)));
  const PathCounts paths = (*code)->prober().paths();
  if (paths[Path::Trampoline] < kTimes || paths[Path::Emulated] < 3 * kTimes)
    return broken(
        "path", fmt::format("{} by trampoline, {} emulated", paths[Path::Trampoline], paths[Path::Emulated]));
  return held();
}

// ---- a removal that had to give up waiting for a hit handler

std::atomic<bool> handler_entered{false};
std::atomic<bool> handler_may_leave{false};

void stay(Hit&, void*) {
  handler_entered.store(true, std::memory_order_release); // pairs with slow_handler
  while (!handler_may_leave.load(std::memory_order_acquire)) {
  }
}

Verdict slow_handler(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  Prober& prober = (*code)->prober();
  if (const Status set = prober.set_handler(&stay, nullptr); !set)
    return verdict_of(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  std::uint64_t result = 0;
  std::jthread hitter([&] { result = (*code)->function<Increment>()(1); });
  while (!handler_entered.load(std::memory_order_acquire)) // pairs with stay
    std::this_thread::yield();
  const Status removed = (*code)->remove_all();
  handler_may_leave.store(true, std::memory_order_release); // pairs with stay
  hitter.join();
  if (removed || removed.error().kind != ErrorKind::NotQuiescent || result != 2)
    return broken("removal", removed ? "did not wait for the handler" : describe(removed.error()));
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return broken("insert", describe(inserted.error()));
  return (*code)->function<Increment>()(2) == 3 && (*code)->hits(0) == 2 ? held() : broken("wrong-count", "");
}

const bool auto_test_registered = register_experiment("test/auto-slow-handler", &slow_handler) &&
                                  register_experiment("test/auto-chooses", &chooses) &&
                                  register_experiment("test/auto-nested", &nested) &&
                                  register_experiment("test/auto-neighbours", &neighbours) &&
                                  register_experiment("test/auto-all-neighbours", &all_neighbours);

void expect_held(const char* experiment, Json parameters) {
  CellSpec spec;
  spec.experiment = experiment;
  spec.parameters = std::move(parameters);
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

} // namespace

TEST(Auto, JumpsWhereAJumpFitsAndTrapsElsewhere) {
  expect_held("test/auto-chooses", Json{{"strategy", "auto"}, {"jumps", true}});
}

TEST(Auto, LeavesOutWhatDoesNotPromiseWhatIsAsked) {
  expect_held("test/auto-chooses", Json{{"strategy", "auto:faults-see-original-pc"}, {"jumps", false}});
}

TEST(Auto, AsksTheKernelWhereNoneInTheProcessPromisesIt) {
  EXPECT_EQ((*make_prober("auto:sigtrap-may-be-blocked"))->promises(),
            (*make_prober("kernel-uprobe"))->promises());
}

TEST(Auto, WhatNobodyPromisesIsBadInput) {
  const auto none = make_prober("auto:helper-may-die,small-stacks,reentrant,red-zone-intact");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::BadInput);
}

TEST(Auto, H25_AHitOfTheOtherMemberInsideTheHandlerCountsAndDoesNotCallIt) {
  expect_held("test/auto-nested", Json{{"strategy", "auto"}});
}

TEST(Auto, AProbeWhoseRemovalGaveUpWaitingCanBeInsertedAgain) {
  expect_held("test/auto-slow-handler", Json{{"strategy", "auto"}});
}

TEST(Auto, NeighboursOfOneCallAreAllArmed) {
  expect_held("test/auto-all-neighbours", Json{{"strategy", "auto"}});
}

TEST(Auto, H66_NeighboursAreArmedOrRefusedInEveryOrder) {
  expect_held("test/auto-neighbours", Json{{"strategy", "auto"}});
}

} // namespace proberace
