#include "harness/probe/promises.h"

namespace proberace {

const std::array<PromiseText, kPromiseCount>& all_promises() noexcept {
  static constexpr std::array<PromiseText, kPromiseCount> kTexts{{
      {Promise::ExactCounts, "exact-counts",
       "each execution of an armed site is counted exactly once, with threads"},
      {Promise::InsertionWhileRunning, "insertion-while-running",
       "insert is safe while others execute the site"},
      {Promise::RemovalWhileRunning, "removal-while-running", "remove is safe while others execute the site"},
      {Promise::RipRelative, "rip-relative", "RIP-relative operands work"},
      {Promise::AllControlFlow, "all-control-flow", "jumps, calls, returns and loops work, taken and not"},
      {Promise::SignalsSeeOriginalPc, "signals-see-original-pc",
       "asynchronous signals never see a slot's address"},
      {Promise::FaultsSeeOriginalPc, "faults-see-original-pc", "faults are reported at the site"},
      {Promise::Reentrant, "reentrant", "a hit handler may execute probed code"},
      {Promise::ForkSafe, "fork-safe", "a forked child runs on and adds nothing to the parent's counts"},
      {Promise::NoAddedMapping, "no-added-mapping", "while armed the process has the mappings it had"},
      {Promise::NoWritableExecutable, "no-writable-executable", "no memory is both writable and executable"},
      {Promise::FileBackedText, "file-backed-text", "works on the text of libraries"},
      {Promise::RedZoneIntact, "red-zone-intact", "the 128 bytes below rsp are untouched"},
  }};
  return kTexts;
}

std::string_view name(Promise promise) noexcept {
  return all_promises()[static_cast<std::size_t>(promise)].name;
}

std::optional<Promise> promise_named(std::string_view wanted) noexcept {
  for (const PromiseText& text : all_promises())
    if (text.name == wanted)
      return text.promise;
  return std::nullopt;
}

} // namespace proberace
