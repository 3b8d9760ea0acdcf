// A stepper takes a thread that hit past the displaced instruction while other threads run the same code.
// This is the mail's second problem.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/code/decode.h"
#include "harness/code/site.h"
#include "harness/probe/facts.h"
#include "harness/probe/footprint.h"
#include "harness/probe/promises.h"
#include "harness/probe/trap_context.h"

#include <memory>
#include <span>
#include <string_view>

namespace proberace {

// Executable memory in the target, away from its own code. A slot is never given out twice and stays until
// the prober closes, because a thread may still be inside (H12).
class SlotSpace {
public:
  virtual ~SlotSpace() = default;
  // An empty slot of `bytes` bytes, at most kMaxSlotBytes, within kSlotReach of `near`. NoRoom, MappingLimit.
  virtual std::expected<Address, Error> reserve(Address near, std::size_t bytes) = 0;
  // Fills a slot, once, before any thread can be sent there.
  virtual Status write(Address slot, std::span<const std::uint8_t> code) = 0;
};

// The abilities that a transport has for a stepper; known before a site is armed.
struct Abilities {
  bool atomic_access = false; // TrapContext::in_place: a tracer cannot read-modify-write atomically
  bool on_the_thread = false; // the stepper runs on the thread that hit, in its address space
};

inline constexpr std::size_t kMaxSlotBytes = 64;
inline constexpr std::ptrdiff_t kSlotReach = std::ptrdiff_t{1}
                                             << 30; // leaves room to reach what the site reaches

// The way in which a thread reaches the end of its displaced instruction.
enum class PlanEnd : std::uint8_t {
  AfterSteps, // Stepper::begin starts a single step
  AtOnce,     // Stepper::begin completes the instruction
  ByJump,     // Stepper::begin sends the thread to code that jumps back
};
inline constexpr auto kPlanEndRows = enumeration<Named<PlanEnd>>({
    {PlanEnd::AfterSteps, "stepped"},
    {PlanEnd::AtOnce, "emulated"},
    {PlanEnd::ByJump, "boosted"},
});
constexpr const auto& rows_of(PlanEnd) noexcept {
  return kPlanEndRows;
}
inline constexpr std::size_t kPlanEnds = kPlanEndRows.size();

// The preparation of a stepper for one site; immutable once the site is armed.
class StepPlan {
public:
  virtual ~StepPlan() = default;
  // signal-safe. A stepper that is composed of several uses it to tell their plans apart.
  virtual PlanEnd end() const noexcept { return PlanEnd::AfterSteps; }
  // signal-safe. The address of an int3 behind the copy of an instruction that falls through to the next one.
  // A thread that traps there has completed its step without a debug trap, because a hypervisor that emulates
  // the instruction swallowed it (H79). Address{} if there is none.
  virtual Address stop() const noexcept { return {}; }
  // The slot of code from which a thread gets back by itself (PlanEnd::ByJump): a thread at its beginning has
  // executed nothing of the instruction. Address{} if there is none.
  virtual Address jump_slot() const noexcept { return {}; }
};

struct Displaced {
  Site site;
  Instruction instruction;
  std::unique_ptr<const StepPlan> plan; // may be null, if the stepper needs none
};

enum class Stepped {
  Done,  // the displaced instruction is complete, the thread continues at its PC
  Again, // it is not complete (a repeated string instruction): single-step once more
};

class Stepper {
public:
  virtual ~Stepper() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual Promises promises() const noexcept = 0;
  virtual Facts facts() const noexcept { return {}; }

  // InstructionUnsupported names the instruction and why; MemoryUnsupported if the target's memory does not
  // allow what a hit would need.
  virtual std::expected<std::unique_ptr<const StepPlan>, Error>
  plan(const Instruction& instruction, SlotSpace& slots, const Abilities& abilities) = 0;
  // signal-safe. The thread stands at the site, and no part of the instruction is executed. Either completes
  // it (emulation, or a PC from which the thread continues by itself) or calls start_single_step.
  virtual void begin(TrapContext& context, const Displaced& displaced) noexcept = 0;
  // signal-safe. The debug trap of a step that begin started. `armed` is false if the site was removed
  // meanwhile. Calls stop_single_step before it returns Done.
  virtual Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept = 0;

  // The next four are for steppers that run threads in the target's own memory (TLS, stacks). But close calls
  // give_back on every stepper, before its slots are unmapped. True while there is memory to give back after
  // hits.
  virtual bool holds_target_memory() const noexcept { return false; }
  // Thread-safe. True if a thread at this PC runs the stepper's code there.
  virtual bool runs_at(Address) const noexcept { return false; }
  // Precondition: no site is armed and every thread has left that memory. Makes it what it was before.
  virtual void give_back() noexcept {}
  virtual Footprint footprint() const { return {}; }

  // True if it writes the site's own byte during a hit (TrapContext::write_code_byte).
  virtual bool writes_the_site() const noexcept { return false; }
  // True if begin writes below the stack frames in use, where the frame of a signal may land that arrives
  // before the thread has got there. Then nothing is re-entrant on a transport that does not hold signals
  // back until then.
  virtual bool writes_below_the_frames() const noexcept { return false; }
  // True if it needs Abilities::on_the_thread.
  virtual bool needs_the_thread() const noexcept { return false; }
};

} // namespace proberace
