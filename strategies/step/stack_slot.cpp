// stack-slot: run a copy of the instruction on the thread's own stack, followed by an absolute jump back.
//
// Idea: the mail's other place for "1 instruction (plus a possible jump out)": below the red zone of the
// interrupted stack, and below the frames of the signal that takes the hit, which are still in use while the
// copy is written. `stack-slot` leaves the stack pointer where it was: the next signal's frame may be written
// over the copy while the thread is in it (H24, H25), so it promises no re-entrancy, and nothing under
// signals.
//
// `stack-slot-nested` lowers the stack pointer below the copy meanwhile, so that frames of signals lie below
// it too. Behind the copy, one `ret N` both leaves and puts the stack pointer back. A signal between two instructions would
// put its frame over the second (H93). Trade-off: no instruction that uses the stack pointer
// and none that branches. A program with shadow stacks is refused: there, each ret needs a call (H62). Under signal/iretq it is as little re-entrant as the
// other: signals land in the handler there, and their frames overwrite the copy before the thread has left
// for it.
//
// Both make the stack's pages executable at the depths where hits happen (lent_memory.h). As with tls-slot,
// RIP-relative operands are refused.
#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"
#include "harness/relocate/exit.h"
#include "strategies/step/lent_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

enum class Kind { AsTheMail, Nested };

constexpr std::ptrdiff_t kRedZoneBytes = 128; // System V ABI, x86-64 supplement, 3.2.2
// Room that the handler's own frames may still take on its way out.
constexpr std::ptrdiff_t kHandlerRoom = 2048;
constexpr std::uint8_t kRet =
    0xC2; // takes an address from the stack, and as many bytes more as the next two say

struct StackPlan final : StepPlan {
  std::array<std::uint8_t, kMaxSlotBytes> code{}; // whole, but for the bytes that ret takes
  std::size_t taken = 0;                          // their offset; Nested only
  Address next{};                                 // Nested only
};

// The instruction, and the ret that each hit completes.
void build_nested(StackPlan& plan, const Instruction& instruction, const ExitCode& code) {
  auto out = std::copy_n(code.bytes.begin(), instruction.length, plan.code.begin());
  *out++ = kRet;
  plan.taken = static_cast<std::size_t>(out - plan.code.begin());
  plan.next = instruction.next();
}

// Documentation/arch/x86/shstk.rst. Threads inherit it.
bool has_shadow_stack() noexcept {
  constexpr long kStatus = 0x5005, kShadowStack = 1; // ARCH_SHSTK_STATUS, ARCH_SHSTK_SHSTK
  std::uint64_t features = 0;
  return raw_syscall(SYS_arch_prctl, kStatus, &features) == 0 && (features & kShadowStack) != 0;
}

[[noreturn]] void die_of_distance() noexcept {
  constexpr char kTooFar[] = "proberace: the frame of a signal is larger than a ret can pass over\n";
  raw_syscall(SYS_write, STDERR_FILENO, kTooFar, sizeof kTooFar - 1);
  std::abort();
}

// The pages this thread was lent last, so that hits at changing depths ask the kernel rarely.
struct Lent {
  static constexpr std::size_t kPages = 4;
  std::uint64_t epoch;
  Address pages[kPages];
  std::size_t oldest;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local Lent t_lent{};

template <Kind kKind> class StackSlot final : public Stepper {
public:
  std::string_view name() const noexcept override {
    return kKind == Kind::AsTheMail ? "stack-slot" : "stack-slot-nested";
  }
  Promises promises() const noexcept override {
    const Promises both =
        Promises::all_but({Promise::NoAddedMapping, Promise::NoWritableExecutable,
                           Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc, Promise::RipRelative,
                           Promise::AnyThreadPointer, Promise::SmallStacks});
    return both &
           (kKind == Kind::AsTheMail
                ? Promises::all_but({Promise::Reentrant, Promise::HandlersMayJump})
                : Promises::all_but({Promise::AllControlFlow, Promise::StackOperands, Promise::AnyFlags}));
  }
  Facts facts() const noexcept override {
    return {.paths = {Path::StackSlot}, .removal = Removal::WaitsForThreads};
  }
  bool needs_the_thread() const noexcept override { return true; }
  bool writes_below_the_frames() const noexcept override { return true; }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace&,
                                                             const Abilities&) override {
    if (const Status allowed = LentMemory::allowed(); !allowed)
      return failure(allowed.error().kind, instruction.address, "{}", allowed.error().message);
    if (kKind == Kind::Nested && (instruction.uses_stack_pointer || instruction.flow != Flow::Next))
      return failure(ErrorKind::InstructionUnsupported, instruction.address, "{} {}",
                     mnemonic_name(instruction),
                     instruction.uses_stack_pointer ? "uses the stack pointer, which is lowered meanwhile"
                                                    : "leaves before the stack pointer is put back");
    if (kKind == Kind::Nested && has_shadow_stack())
      return failure(
          ErrorKind::MemoryUnsupported, instruction.address,
          "the program has shadow stacks, and a copy on the stack is left by a ret without a call");
    const auto code = relocate_anywhere(instruction);
    if (!code)
      return std::unexpected(code.error());
    auto plan = std::make_unique<StackPlan>();
    if (kKind == Kind::Nested)
      build_nested(*plan, instruction, *code);
    else
      std::copy(code->bytes.begin(), code->bytes.end(), plan->code.begin());
    return plan;
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    const auto& plan = static_cast<const StackPlan&>(*displaced.plan);
    const Address below{reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))};
    const Address room = below - kHandlerRoom - static_cast<std::ptrdiff_t>(kMaxSlotBytes);
    const Address slot{value(room) & ~(kMaxSlotBytes - 1)};
    write(context, plan, slot); // before it is lent: the store makes a stack grow that ends here
    lend(slot);
    context.took(Path::StackSlot);
    context.set_pc(slot);
  }

  // No step is ever begun.
  Stepped finish(TrapContext&, const Displaced&, bool) noexcept override { return Stepped::Done; }

  bool holds_target_memory() const noexcept override { return !lent_.empty(); }
  bool runs_at(Address pc) const noexcept override { return lent_.contains(pc); }
  void give_back() noexcept override { lent_.give_back(); }
  Footprint footprint() const override { return lent_.footprint(); }

private:
  // Sizes are constants, so that no call of libc's memcpy, which may be probed, comes of it (H68).
  static void write(TrapContext& context, const StackPlan& plan, Address slot) noexcept {
    std::memcpy(bytes_at(slot), plan.code.data(), kMaxSlotBytes);
    if (kKind == Kind::AsTheMail)
      return;
    const Address pointer{context.get(Register::Rsp)};
    const Address lowered{value(slot - kRedZoneBytes) & ~std::uintptr_t{15}};
    const auto taken = static_cast<std::uint64_t>(pointer - lowered) - sizeof plan.next;
    if (taken > std::numeric_limits<std::uint16_t>::max())
      die_of_distance();
    const auto by_ret = static_cast<std::uint16_t>(taken);
    std::memcpy(bytes_at(slot) + plan.taken, &by_ret, sizeof by_ret);
    std::memcpy(bytes_at(lowered), &plan.next, sizeof plan.next);
    context.set(Register::Rsp, value(lowered));
  }

  void lend(Address slot) noexcept {
    const Address page = page_of(slot); // slots do not straddle pages
    if (const std::uint64_t epoch = lent_.epoch(); t_lent.epoch != epoch)
      t_lent = Lent{epoch, {}, 0};
    for (const Address known : t_lent.pages)
      if (known == page)
        return;
    lent_.lend(page, kPageBytes);
    t_lent.pages[t_lent.oldest] = page;
    t_lent.oldest = (t_lent.oldest + 1) % Lent::kPages;
  }

  LentMemory lent_;
};

const bool registered =
    register_stepper("stack-slot", "run a copy on the thread's stack, as the mail has it",
                     [] { return std::make_unique<StackSlot<Kind::AsTheMail>>(); }) &&
    register_stepper("stack-slot-nested", "the same, with the stack pointer below it meanwhile: re-entrant",
                     [] { return std::make_unique<StackSlot<Kind::Nested>>(); });

} // namespace

} // namespace proberace
