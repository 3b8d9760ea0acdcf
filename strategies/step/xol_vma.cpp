// xol-vma: single-step a copy of the instruction out of line, in a mapping added to the process.
//
// Idea: the site keeps its int3, so no thread can pass it unseen; each site has a slot of its own, written
// once, so no two threads contend for one and none is ever re-used under a thread still inside (H12, H22,
// H23). Trade-off: a second trap per hit, and a mapping in a process that did not ask for it. Registers that
// the copy gets wrong because it runs elsewhere are corrected after the step, as the kernel does
// (arch/x86/kernel/uprobes.c, default_post_xol_op).
//
// Asynchronous signals are held back for the one step. A fault of the displaced instruction is still reported
// at the slot, so faults-see-original-pc is not promised.
#include "harness/base/failure.h"
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/relocate.h"

namespace proberace {

namespace {

class XolPlan final : public StepPlan {
public:
  XolPlan(Address slot, Address stop) : slot_(slot), stop_(stop) {}
  Address slot() const noexcept { return slot_; }
  Address stop() const noexcept override { return stop_; }

private:
  Address slot_;
  Address stop_;
};

bool target_is_relative(Flow flow) noexcept {
  return flow == Flow::Next || flow == Flow::RelativeJump || flow == Flow::RelativeCall;
}

bool pushes_return_address(Flow flow) noexcept {
  return flow == Flow::RelativeCall || flow == Flow::AbsoluteCall;
}

class XolVma final : public Stepper {
public:
  std::string_view name() const noexcept override { return "xol-vma"; }
  Promises promises() const noexcept override {
    return Promises::all_but({Promise::NoAddedMapping, Promise::FaultsSeeOriginalPc});
  }
  Facts facts() const noexcept override { return {.paths = {Path::SlotStep}}; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities&) override {
    if (instruction.hazard != StepHazard::None)
      return failure(ErrorKind::InstructionUnsupported, instruction.address, "{} {}",
                     mnemonic_name(instruction), reason(instruction.hazard));
    // An instruction is refused before it takes a slot.
    if (const auto anywhere = relocate(instruction, instruction.address); !anywhere)
      return std::unexpected(anywhere.error());
    const auto slot = slots.reserve(instruction.address, instruction.length + 1U);
    if (!slot)
      return std::unexpected(slot.error());
    const auto copy = relocate(instruction, *slot);
    if (!copy)
      return std::unexpected(copy.error());
    std::array<std::uint8_t, kMaxInstructionBytes + 1> code{};
    std::ranges::copy(copy->code(), code.begin());
    code[copy->length] = kInt3;
    if (const Status written = slots.write(*slot, std::span(code).first(copy->length + 1U)); !written)
      return std::unexpected(written.error());
    const bool goes_on = instruction.flow == Flow::Next;
    return std::make_unique<const XolPlan>(*slot, goes_on ? *slot + copy->length : Address{});
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    context.took(Path::SlotStep);
    context.set_pc(slot_of(displaced));
    context.start_single_step();
  }

  Stepped finish(TrapContext& context, const Displaced& displaced, bool) noexcept override {
    const Instruction& instruction = displaced.instruction;
    const Address slot = slot_of(displaced);
    // Not complete yet: a repeated string instruction traps at every turn; a gather or scatter may, where it
    // was interrupted among its elements (SDM vol. 2C, VGATHERDPS; H80).
    if (instruction.flow == Flow::Next && context.pc() == slot)
      return Stepped::Again;
    if (target_is_relative(instruction.flow))
      context.set_pc(context.pc() + (displaced.site.address - slot));
    if (pushes_return_address(instruction.flow))
      context.write_word(Address{context.get(Register::Rsp)}, value(instruction.next()));
    if (instruction.x87)
      context.move_x87_pointer(slot, displaced.site.address);
    context.stop_single_step();
    return Stepped::Done;
  }

private:
  static Address slot_of(const Displaced& displaced) noexcept {
    return static_cast<const XolPlan&>(*displaced.plan).slot();
  }
};

const bool registered = register_stepper("xol-vma", "single-step a copy in a mapping added to the process",
                                         [] { return std::make_unique<XolVma>(); }) &&
                        claim(Role::ReferenceStepper, "xol-vma") && claim(Role::OutOfLineStepper, "xol-vma");

} // namespace

} // namespace proberace
