// one-slot: run the displaced instruction in a slot that all threads and all sites share.
//
// Idea: the least a stepper can be, built outside the tree (strategies/README.md). Trade-off: it is broken. A
// thread that has filled the slot and not yet run it finds another thread's instruction there (H22), and
// `proberace --plugin ./libmine.so hunt --strategy poke+one-slot --scheduler random` shows how.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/exit.h"
#include "harness/schedule/point.h"

using namespace proberace;

namespace {

struct Copy final : StepPlan {
  ExitCode code;
};

class OneSlot final : public Stepper {
public:
  std::string_view name() const noexcept override { return "one-slot"; }
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoAddedMapping, Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc});
  }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities&) override {
    if (slot_ == Address{}) {
      const auto slot = slots.reserve(instruction.address, kMaxSlotBytes);
      if (!slot)
        return std::unexpected(slot.error());
      slot_ = *slot;
    }
    const auto code = relocate_with_exit(instruction, slot_);
    if (!code)
      return std::unexpected(code.error());
    auto copy = std::make_unique<Copy>();
    copy->code = *code;
    return copy;
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    const ExitCode& code = static_cast<const Copy&>(*displaced.plan).code;
    for (int i = 0; i < code.length; ++i)
      context.write_code_byte(slot_ + i, code.bytes[static_cast<std::size_t>(i)]);
    schedule::point("one-slot.filled"); // another thread may fill it now
    context.set_pc(slot_);
  }

  // No step is ever begun.
  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override { return Stepped::Done; }

  // The prober closes, and unmaps the slot.
  void give_back() noexcept override { slot_ = {}; }

private:
  Address slot_{};
};

const bool registered =
    register_stepper("one-slot", "one slot for all", [] { return std::make_unique<OneSlot>(); });

} // namespace
