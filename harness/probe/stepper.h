// A stepper gets a thread that hit past the displaced instruction while others run the same code: the mail's
// second problem.
#pragma once

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

// Executable memory in the target, away from its own code. What is reserved is never given out twice and
// stays until the prober closes, because a thread may still be inside (H12).
class SlotSpace {
public:
  virtual ~SlotSpace() = default;
  // An empty slot of `bytes` bytes, at most kMaxSlotBytes, within kSlotReach of `near`. NoRoom, MappingLimit.
  virtual std::expected<Address, Error> reserve(Address near, std::size_t bytes) = 0;
  // Fills a slot, once, before any thread can be sent there.
  virtual Status write(Address slot, std::span<const std::uint8_t> code) = 0;
};

// What a transport can do for a stepper; known before anything is armed.
struct Abilities {
  bool atomic_access = false; // TrapContext::in_place: a tracer cannot read-modify-write atomically
  bool on_the_thread = false; // the stepper runs on the thread that hit, in its address space
};

inline constexpr std::size_t kMaxSlotBytes = 64;
inline constexpr std::ptrdiff_t kSlotReach = std::ptrdiff_t{1}
                                             << 30; // leaves room to reach what the site reaches

// How a thread gets to the end of its displaced instruction.
enum class PlanEnd : std::uint8_t {
  AfterSteps, // Stepper::begin starts a single step
  AtOnce,     // Stepper::begin completes the instruction
  ByJump,     // Stepper::begin sends the thread to code that jumps back
};
inline constexpr std::size_t kPlanEnds = 3;

// What a stepper prepared for one site; immutable once the site is armed.
class StepPlan {
public:
  virtual ~StepPlan() = default;
  // signal-safe. What a stepper composed of several tells their plans apart by.
  virtual PlanEnd end() const noexcept { return PlanEnd::AfterSteps; }
  // signal-safe. An int3 behind the copy of an instruction that goes on to the next one: a thread that traps
  // there has completed its step without a debug trap, because a hypervisor that emulates the instruction
  // swallowed it (H79). Address{} if there is none.
  virtual Address stop() const noexcept { return {}; }
};

struct Displaced {
  Site site;
  Instruction instruction;
  std::unique_ptr<const StepPlan> plan; // may be null, if the stepper needs none
};

enum class Stepped {
  Done,  // the displaced instruction is complete, the thread goes on at its PC
  Again, // it is not (a repeated string instruction): single-step once more
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
  // signal-safe. The thread stands at the site, nothing of the instruction executed. Either completes it
  // (emulation, or a PC from which the thread gets on by itself) or calls start_single_step.
  virtual void begin(TrapContext& context, const Displaced& displaced) noexcept = 0;
  // signal-safe. The debug trap of a step that begin started. `armed` is false if the site was removed
  // meanwhile. Calls stop_single_step before it returns Done.
  virtual Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept = 0;

  // What follows is for steppers that run threads in memory of the target's own (TLS, stacks). But give_back is
  // called by close on every stepper, before its slots are unmapped.
  // True while hits have left something to give back.
  virtual bool holds_target_memory() const noexcept { return false; }
  // Whether a thread at this PC runs the stepper's code there. Thread-safe.
  virtual bool runs_at(Address) const noexcept { return false; }
  // Precondition: nothing is armed and every thread has left that memory. It is again what it was.
  virtual void give_back() noexcept {}
  virtual Footprint footprint() const { return {}; }

  // Whether it writes the site's own byte during a hit (TrapContext::write_code_byte).
  virtual bool writes_the_site() const noexcept { return false; }
  // Whether begin writes to where the frame of a signal may come that arrives before the thread has got there: below
  // the frames in use. Then nothing is re-entrant where the transport does not hold signals back until then.
  virtual bool writes_below_the_frames() const noexcept { return false; }
  // Whether it needs Abilities::on_the_thread.
  virtual bool needs_the_thread() const noexcept { return false; }
};

} // namespace proberace
