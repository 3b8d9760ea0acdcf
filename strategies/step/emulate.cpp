// emulate: compute what the displaced instruction does to the thread's registers and memory, and continue
// behind it.
//
// Idea: there is no copy of the instruction, so none needs a place or a second trap. The site keeps its int3,
// nothing is mapped, and nothing of the step outlives the handler: asynchronous signals, faults, forks and
// handlers that jump away meet a thread that stands either before the instruction or behind it. Trade-off:
// somebody has to write the emulator ("too much effort", says the mail; harness/emulate is the effort), and
// an instruction that it does not cover is refused by name. The kernel does the same for a few instructions
// (arch/x86/kernel/uprobes.c: nop, push, jmp, jcc, call rel32).
#include "harness/emulate/micro_plan.h"
#include "harness/probe/registry.h"

namespace proberace {

namespace {

class Emulate final : public Stepper {
public:
  std::string_view name() const noexcept override { return "emulate"; }
  Promises promises() const noexcept override { return Promises::all(); }
  Facts facts() const noexcept override { return {.paths = {Path::Emulated}, .selective = true}; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace&,
                                                             const Abilities& abilities) override {
    return plan_emulation(instruction, abilities);
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    const auto& plan = static_cast<const MicroPlan&>(*displaced.plan);
    context.took(Path::Emulated);
    plan.run(context, plan);
  }

  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override {
    return Stepped::Done; // never: begin starts no step
  }
};

const bool registered = register_stepper("emulate", "compute the displaced instruction's effect",
                                         [] { return std::make_unique<Emulate>(); });

} // namespace

} // namespace proberace
