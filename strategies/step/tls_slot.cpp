// tls-slot: run a copy of the instruction in the thread's own TLS, followed by an absolute jump back.
//
// Idea: the mail's: "The alternative is to place the instruction in TLS or stack space, since each thread can
// only have a single trap at a time, you only need space for 1 instruction (plus a possible jump out to the
// original site)." `tls-slot` is just that. It holds as long as nothing comes between the trap and the end of
// the copy: a signal handler that interrupts the copy and hits a probe itself overwrites it (H25), so it
// does not promise re-entrancy.
//
// `tls-slot-nested` does: each site has a slot of its own in every thread's TLS, so that what a nested hit
// writes is either another slot or the very bytes that are there. Trade-off: 64 bytes of TLS a site and
// thread, and room for kNestedSites sites between open and close.
//
// Both need no mapping of their own, but split the one TLS lies in and make it executable as well as writable
// (lent_memory.h). The slot's address differs from thread to thread, so RIP-relative operands are refused, as
// the uprobes of 2010 did.
#include "harness/base/failure.h"
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/exit.h"
#include "harness/schedule/point.h"
#include "strategies/step/lent_memory.h"

#include <cstring>

namespace proberace {

namespace {

constexpr std::size_t kNestedSites = 64;

template <std::size_t kSlots> struct ThreadSlots {
  alignas(64) std::uint8_t code[kSlots][kMaxSlotBytes];
  std::uint64_t holds[kSlots]; // the serial number of the plan whose code is there
  std::uint64_t epoch;         // of LentMemory, when it was made executable
};

// Initial-exec: a load relative to fs, never a call into the dynamic linker.
template <std::size_t kSlots>
[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadSlots<kSlots> t_slots{};

// Through a volatile pointer: the compiler must not know that code is called which lies in an array.
template <std::size_t kSlots> ThreadSlots<kSlots>& mine() noexcept {
  ThreadSlots<kSlots>* volatile slots = &t_slots<kSlots>;
  return *slots;
}

std::atomic<std::uint64_t> next_serial{1};

struct TlsPlan final : StepPlan {
  TlsPlan(const ExitCode& c, std::size_t p, std::atomic<std::size_t>& count)
      : code(c), place(p), serial(next_serial.fetch_add(1, std::memory_order_relaxed)), // a number only
        plans(count) {
    plans.fetch_add(1, std::memory_order_relaxed); // under the prober's lock
  }
  ~TlsPlan() override { plans.fetch_sub(1, std::memory_order_relaxed); }

  const ExitCode code;
  const std::size_t place;
  const std::uint64_t serial;
  std::atomic<std::size_t>& plans;
};

template <std::size_t kSlots> class TlsSlot final : public Stepper {
public:
  std::string_view name() const noexcept override { return kSlots == 1 ? "tls-slot" : "tls-slot-nested"; }
  Promises promises() const noexcept override {
    const Promises nested = Promises::all_but({Promise::NoAddedMapping, Promise::NoWritableExecutable,
                                               Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc,
                                               Promise::RipRelative, Promise::AnyThreadPointer});
    return kSlots == 1 ? nested & Promises::all_but({Promise::Reentrant}) : nested;
  }
  Facts facts() const noexcept override {
    return {.paths = {Path::ThreadSlot}, .removal = Removal::WaitsForThreads};
  }
  bool needs_the_thread() const noexcept override { return true; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace&,
                                                             const Abilities&) override {
    if (const Status allowed = LentMemory::allowed(); !allowed)
      return failure(allowed.error().kind, instruction.address, "{}", allowed.error().message);
    const auto code = relocate_anywhere(instruction);
    if (!code)
      return std::unexpected(code.error());
    if (plans_.load(std::memory_order_relaxed) == 0) // under the prober's lock: closed since
      next_place_ = 0;
    if (kSlots > 1 && next_place_ == kSlots)
      return failure(ErrorKind::NoRoom, instruction.address,
                     "a thread's TLS has room for {} sites between open and close", kSlots);
    const std::size_t place = kSlots == 1 ? 0 : next_place_++;
    return std::make_unique<const TlsPlan>(*code, place, plans_);
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    const auto& plan = static_cast<const TlsPlan&>(*displaced.plan);
    ThreadSlots<kSlots>& slots = mine<kSlots>();
    if (const std::uint64_t epoch = lent_.epoch(); slots.epoch != epoch) {
      lent_.lend(address_of(slots.code), sizeof slots.code);
      slots.epoch = epoch;
    }
    if (slots.holds[plan.place] != plan.serial) {
      schedule::point("tls.copy", displaced.site.address);
      // A constant size, so that no call of libc's memcpy, which may be probed, comes of it (H68).
      std::memcpy(slots.code[plan.place], plan.code.bytes.data(), kMaxSlotBytes);
      slots.holds[plan.place] = plan.serial; // the way out of the handler serialises this core
    }
    context.took(Path::ThreadSlot);
    context.set_pc(address_of(slots.code[plan.place]));
  }

  // No step is ever begun.
  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override { return Stepped::Done; }

  bool holds_target_memory() const noexcept override { return !lent_.empty(); }
  bool runs_at(Address pc) const noexcept override { return lent_.contains(pc); }
  void give_back() noexcept override { lent_.give_back(); }
  Footprint footprint() const override { return lent_.footprint(); }

private:
  LentMemory lent_;
  std::atomic<std::size_t> plans_{0}; // that exist
  std::size_t next_place_ = 0;
};

const bool registered =
    register_stepper("tls-slot", "run a copy in the thread's TLS, one slot a thread, as the mail has it",
                     [] { return std::make_unique<TlsSlot<1>>(); }) &&
    register_stepper("tls-slot-nested", "the same, with a slot for each site and thread: re-entrant",
                     [] { return std::make_unique<TlsSlot<kNestedSites>>(); });

} // namespace

} // namespace proberace
