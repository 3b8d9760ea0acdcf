// jump shares SIGTRAP with the program: H30, H31.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <fmt/format.h>

namespace proberace {

namespace {

volatile std::uint64_t firsts = 0; // traps that reached the program's first handler
volatile std::uint64_t seconds = 0;
struct sigaction before_second;

void on_first(int, siginfo_t*, void*) {
  firsts = firsts + 1;
}

// Installed on top of ours by the program; passes traps that are not its own to the handler that was there
// before.
void on_second(int signo, siginfo_t* info, void* context) {
  seconds = seconds + 1;
  before_second.sa_sigaction(signo, info, context);
}

// first, ours, second, and with the next insertion ours again: the program's own trap reaches both handlers
// once, wherever it is passed on from.
Verdict chained(const Json& parameters, Arena&) {
  on_signal(SIGTRAP, &on_first);
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  ::sigaction(SIGTRAP, nullptr, &before_second);
  on_signal(SIGTRAP, &on_second);
  for (std::uint64_t traps = 1; traps <= 3; ++traps) {
    if (const Status inserted = (*code)->insert_all(); !inserted)
      return verdict_of(inserted.error());
    asm volatile("int3");
    if (firsts != traps || seconds != traps)
      return broken("own-trap", fmt::format("{} traps: the first handler saw {}, the second {}", traps,
                                            firsts + 0, seconds + 0));
    if ((*code)->function<Increment>()(traps) != traps + 1 || (*code)->hits(0) != traps)
      return broken("wrong-count", fmt::format("{} hits of {}", (*code)->hits(0), traps));
    if (const Status removed = (*code)->remove_all(); !removed)
      return broken("remove", describe(removed.error()));
  }
  if (const Status closed = (*code)->prober().close(); !closed)
    return broken("close", describe(closed.error()));
  asm volatile("int3");
  return firsts == 4 && seconds == 4 ? held() : broken("after-close", "the program's trap went astray");
}

const bool jump_traps_test_registered = register_experiment("test/jump-chained-handlers", &chained);

} // namespace

TEST(Jump, H30_H31_AHandlerThatChainsToOursStillReachesWhoWasThereFirst) {
  PROBERACE_EXPECT_TEST_HELD("jump-chained-handlers", "jump");
}

} // namespace proberace
