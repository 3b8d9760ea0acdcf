// in-place: put the original byte back, single-step it, put the probe back. Debuggers did it this way, and
// the mail says it "is racy for multi-threading": while the byte is back, another thread passes unseen (H20),
// or traps on a probe that this thread is about to step over (H21). Kept faithfully as the baseline: it
// promises nothing that takes two threads. On one thread everything happens where it always did, so faults
// and signals see the original PC.
#include "harness/base/failure.h"
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/schedule/point.h"

namespace proberace {

namespace {

class InPlace final : public Stepper {
public:
  std::string_view name() const noexcept override { return "in-place"; }
  Promises promises() const noexcept override {
    return Promises::all_but({Promise::ExactCounts, Promise::InsertionWhileRunning,
                              Promise::RemovalWhileRunning, Promise::Reentrant,
                              Promise::VforkSafe, // a child that shares the memory is a second thread
                              // the byte stays out when the thread does not come back from its step
                              Promise::HandlersMayJump, Promise::ThreadsMayEnd});
  }
  Facts facts() const noexcept override { return {.paths = {Path::InPlaceStep}}; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace&,
                                                             const Abilities&) override {
    if (instruction.hazard != StepHazard::None)
      return failure(ErrorKind::InstructionUnsupported, instruction.address, "{} {}",
                     mnemonic_name(instruction), reason(instruction.hazard));
    return nullptr;
  }

  bool writes_the_site() const noexcept override { return true; }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    context.took(Path::InPlaceStep);
    schedule::point("in-place.restore", displaced.site.address);
    context.write_code_byte(displaced.site.address, displaced.instruction.bytes[0]);
    context.start_single_step();
  }

  Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept override {
    // A repeated string instruction between two turns, or a gather among its elements (H43, H80).
    if (displaced.instruction.flow == Flow::Next && context.pc() == displaced.site.address)
      return Stepped::Again;
    schedule::point("in-place.reinsert", displaced.site.address);
    if (armed)
      context.write_code_byte(displaced.site.address, kInt3);
    context.stop_single_step();
    return Stepped::Done;
  }
};

const bool registered =
    register_stepper("in-place", "put the byte back, single-step, put the probe back (racy)",
                     [] { return std::make_unique<InPlace>(); });

} // namespace

} // namespace proberace
