// A stepper that is one file and states no facts: what somebody drops into strategies/step. It is registered in the
// tests' program only, and every suite over covering strategies must accept it without knowing it.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/exit.h"
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <thread>

namespace proberace {

namespace {

// Runs a copy that ends in a jump back, in a slot for each site. It does not say which path its hits take.
class SpareSlot final : public Stepper {
  struct Slot final : StepPlan {
    explicit Slot(Address s) : start(s) {}
    const Address start;
  };

public:
  std::string_view name() const noexcept override { return "spare-slot"; }
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoAddedMapping, Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc});
  }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities&) override {
    if (const auto fits = relocate_with_exit(instruction, instruction.address); !fits)
      return std::unexpected(fits.error());
    const auto slot = slots.reserve(instruction.address, kMaxSlotBytes);
    if (!slot)
      return std::unexpected(slot.error());
    const auto code = relocate_with_exit(instruction, *slot);
    if (!code)
      return std::unexpected(code.error());
    if (const Status written = slots.write(*slot, code->code()); !written)
      return std::unexpected(written.error());
    return std::make_unique<const Slot>(*slot);
  }
  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    context.set_pc(static_cast<const Slot&>(*displaced.plan).start);
  }
  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override { return Stepped::Done; }
};

// Nearly all of its time passes in the slot.
PROBERACE_SNIPPET(LongFill, R"(
        movq    %rsi, %rcx
        xorl    %eax, %eax
        SITE
        rep stosb
        movq    %rcx, %rax
        ret
)");
using Fill = std::uint64_t(std::uint8_t* to, std::uint64_t bytes);

Verdict closes_while_in_slot(const Json& parameters, Arena&) {
  std::vector<std::uint8_t> filled(std::size_t{16} << 20);
  auto code = ProbedCode::armed(parameters, {kLongFill});
  if (!code)
    return verdict_of(code.error());
  std::atomic<bool> done{false};
  std::uint64_t left = 0;
  std::jthread thread([&] {
    while (!done)
      left += (*code)->function<Fill>()(filled.data(), filled.size());
  });
  while ((*code)->hits(0) < 3)
    std::this_thread::yield();
  const std::uint64_t hits = (*code)->hits(0);
  const Status closed = (*code)->prober().close();
  done = true;
  thread.join();
  if (!closed)
    return verdict_of(closed.error());
  Verdict v = left == 0 ? held() : broken("wrong-result", fmt::format("{} bytes were not filled", left));
  v.data = Json{{"hits", hits}};
  return v;
}

const bool closes_while_in_slot_registered =
    register_experiment("test/closes-while-in-slot", &closes_while_in_slot);

const bool spare_slot_registered =
    register_stepper("spare-slot", "a test's", [] { return std::make_unique<SpareSlot>(); });

} // namespace

TEST(ANewStepper, IsCoveredUnderEachTransportThatTakesIt) {
  const auto covering = covering_strategies();
  for (const char* const strategy :
       {"poke+spare-slot", "signal/iretq:poke+spare-slot", "ptrace:poke+spare-slot"})
    EXPECT_NE(std::ranges::find(covering, strategy), covering.end()) << strategy;
}

TEST(ANewStepper, ThatStatesNothingIsTakenForATrapInTheProcess) {
  const Facts facts = facts_of("poke+spare-slot");
  EXPECT_EQ(facts, Facts{});
  EXPECT_TRUE(facts_of("stop-world+spare-slot").stops_threads); // what its armer states holds
  EXPECT_EQ(facts_of("ptrace:poke+spare-slot").handled_by, HandledBy::Supervisor);
}

// A thread may stand anywhere in a slot that the plan does not state.
TEST(ANewStepper, H81_IsClosedWhileAThreadIsInItsSlot) {
  for (const char* const strategy :
       {"poke+spare-slot", "ptrace:poke+spare-slot", "poke+xol-boost", "ptrace:poke+xol-boost"}) {
    PROBERACE_EXPECT_TEST_HELD("closes-while-in-slot", strategy);
    EXPECT_GT(v.data.value("hits", std::uint64_t{0}), 0U);
  }
}

} // namespace proberace
