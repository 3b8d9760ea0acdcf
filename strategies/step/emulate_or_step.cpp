// emulate|xol-vma: emulate where possible, else single-step a copy out of line: the kernel's own choice
// (arch/x86/kernel/uprobes.c, arch_uprobe_analyze_insn), made once per site, before it is armed. What it
// promises, both do.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"

namespace proberace {

namespace {

class EmulateOrStep final : public Stepper {
public:
  std::string_view name() const noexcept override { return "emulate|xol-vma"; }
  Promises promises() const noexcept override { return emulate_->promises() & step_->promises(); }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities& abilities) override {
    if (auto emulated = emulate_->plan(instruction, slots, abilities))
      return emulated;
    return step_->plan(instruction, slots, abilities);
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    (displaced.plan->completes_at_once() ? *emulate_ : *step_).begin(context, displaced);
  }

  Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept override {
    return step_->finish(context, displaced, armed); // only a plan of its own starts a step
  }

private:
  const std::unique_ptr<Stepper> emulate_ = make_stepper("emulate");
  const std::unique_ptr<Stepper> step_ = make_stepper("xol-vma");
};

const bool registered = register_stepper(
    "emulate|xol-vma", "emulate where possible, else single-step a copy in a mapping added to the process",
    [] { return std::make_unique<EmulateOrStep>(); });

} // namespace

} // namespace proberace
