// promise/reentrant (H25): probed code executed in the middle of a hit.
#include "stress/code/probed_code.h"

#include <fmt/format.h>

namespace proberace {

namespace {

// ---- reentrant: a signal handler that interrupts a displaced instruction and executes probed code (H25); a
// hit handler that does.

struct Nested {
  ProbedCode* code;
  const GuardedPage* page;
  std::uint64_t wrong = 0;
};
Nested nested{};

void execute_probed_then_open(int, siginfo_t*, void*) {
  if (nested.code->function<Increment>(1)(6) != 7)
    ++nested.wrong;
  nested.page->open();
}

void execute_probed(Hit&, void*) {
  if (nested.code->function<Increment>(1)(6) != 7)
    ++nested.wrong;
}

// A fault that is reported at the site restarts the instruction there, and its second execution is a hit too.
bool once_or_restarted(std::uint64_t hits, std::uint64_t times) {
  return hits == times || hits == 2 * times;
}

Verdict interrupted_step(const Json& parameters) {
  constexpr std::uint64_t kTimes = 100;
  constexpr std::uint64_t kWord = 0x5ca1ab1e;
  auto code = ProbedCode::armed(parameters, {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  const GuardedPage page(kWord);
  nested = Nested{code->get(), &page};
  on_signal(SIGSEGV, &execute_probed_then_open);
  for (std::uint64_t i = 1; i <= kTimes; ++i) {
    page.shut();
    const std::uint64_t loaded = (*code)->function<Load>()(page.address());
    if (loaded != kWord || nested.wrong != 0)
      return broken(
          "wrong-result",
          fmt::format("the displaced load that a signal handler's hit interrupted gave {:#x}, not {:#x}; {} "
                      "wrong results in the handler",
                      loaded, kWord, nested.wrong));
    if (!once_or_restarted((*code)->hits(0), i) || (*code)->hits(1) != i)
      return broken("wrong-count", fmt::format("{} interrupted and {} nested hits of {} each",
                                               (*code)->hits(0), (*code)->hits(1), i));
  }
  if (const Status removed = (*code)->remove_all(); !removed)
    return broken("remove", describe(removed.error()));
  const Status closed = (*code)->prober().close();
  return closed ? held() : broken("close", describe(closed.error()));
}

Verdict reentrant(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 300;
  if (const Verdict interrupted = interrupted_step(parameters); !interrupted.is(Ending::Held))
    return interrupted;
  auto code = ProbedCode::open(parameters.at("strategy"), {kLoad, kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status set = (*code)->prober().set_handler(&execute_probed, nullptr); !set)
    return held("hits never reach a handler");
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  nested = Nested{code->get(), nullptr};
  const std::uint64_t word = 5;
  for (std::uint64_t i = 0; i < kTimes; ++i)
    if ((*code)->function<Load>()(&word) != word || nested.wrong != 0)
      return broken("wrong-result", "the probed code's result was wrong");
  if ((*code)->hits(0) != kTimes || (*code)->hits(1) != kTimes)
    return broken("wrong-count", fmt::format("{} outer and {} nested hits of {} each", (*code)->hits(0),
                                             (*code)->hits(1), kTimes));
  return held();
}

const bool reentrant_promise_registered = register_experiment("promise/reentrant", &reentrant);

} // namespace

} // namespace proberace
