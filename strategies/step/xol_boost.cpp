// xol-boost: run a copy of the instruction out of line, followed by a jump back; no second trap.
//
// Idea: as kprobes boosts (arch/x86/kernel/kprobes/core.c, can_boost): the copy is followed by a jump to
// where the program would have continued, so the thread needs no help to leave. The slot is immutable per
// site and bytes, shared by all threads, never given to another site and unmapped at close only: a thread may
// stay in it for as long as it likes (H12, H22, H23). Trade-off against xol-vma: half the traps; but nothing
// tells when a thread has left, asynchronous signals and faults see the slot's PC, and a mapping is added all
// the same.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/exit.h"

namespace proberace {

namespace {

class BoostPlan final : public StepPlan {
public:
  explicit BoostPlan(Address s) : slot_(s) {}
  PlanEnd end() const noexcept override { return PlanEnd::ByJump; }
  Address jump_slot() const noexcept override { return slot_; }

private:
  const Address slot_;
};

class XolBoost final : public Stepper {
public:
  std::string_view name() const noexcept override { return "xol-boost"; }
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoAddedMapping, Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc});
  }
  Facts facts() const noexcept override { return {.paths = {Path::SlotJump}}; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities&) override {
    // An instruction is refused before it takes a slot. The length of the code depends on where it lies.
    if (const auto anywhere = relocate_with_exit(instruction, instruction.address); !anywhere)
      return std::unexpected(anywhere.error());
    const auto slot = slots.reserve(instruction.address, kMaxSlotBytes);
    if (!slot)
      return std::unexpected(slot.error());
    const auto code = relocate_with_exit(instruction, *slot);
    if (!code)
      return std::unexpected(code.error());
    if (const Status written = slots.write(*slot, code->code()); !written)
      return std::unexpected(written.error());
    return std::make_unique<const BoostPlan>(*slot);
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    context.took(Path::SlotJump);
    context.set_pc(static_cast<const BoostPlan&>(*displaced.plan).jump_slot());
  }

  // No step is ever begun.
  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override { return Stepped::Done; }
};

const bool registered = register_stepper("xol-boost", "run a copy that ends in a jump back: no second trap",
                                         [] { return std::make_unique<XolBoost>(); });

} // namespace

} // namespace proberace
