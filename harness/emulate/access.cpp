#include "harness/emulate/access.h"

#include <csignal>

namespace proberace::run {

namespace {

// #SS where it would have been #GP: the kernel sends SIGBUS for it (arch/x86/kernel/traps.c,
// exc_stack_segment).
void raise_access(TrapContext& context, HardwareFault fault, Through how) noexcept {
  if (how == Through::Stack && fault.signal == SIGSEGV && fault.code == SI_KERNEL)
    fault.signal = SIGBUS;
  context.raise(fault);
}

// Alignment checking is on where a program sets AC (SDM vol. 3A, 6.15, #AC; Linux sets CR0.AM).
bool misaligned(TrapContext& context, Address at, std::size_t bytes) noexcept {
  if ((value(at) & (bytes - 1)) == 0 || (context.get(Register::Rflags) & kAlignmentCheckBit) == 0 ||
      !canonical(at))
    return false;
  context.raise({SIGBUS, BUS_ADRALN, Address{}});
  return true;
}

// An SSE operand that must be aligned and is not is #GP (SDM vol. 3A, 6.15, #GP), whatever AC says, and even
// where an address on the stack that is not canonical would be #SS: seen on either maker's.
bool refuses_vector(TrapContext& context, Address at, std::size_t bytes, bool aligned) noexcept {
  if (!aligned)
    return (bytes < sizeof(Vector) || kHabits.checks_unaligned_vectors) && misaligned(context, at, bytes);
  if ((value(at) & (bytes - 1)) == 0)
    return false;
  context.raise({SIGSEGV, SI_KERNEL, Address{}});
  return true;
}

} // namespace

bool load(TrapContext& context, Address at, std::size_t bytes, Through how, std::uint64_t& out) noexcept {
  if (misaligned(context, at, bytes))
    return false;
  out = 0;
  HardwareFault fault;
  if (context.load(at, {reinterpret_cast<std::uint8_t*>(&out), bytes}, fault))
    return true;
  raise_access(context, fault, how);
  return false;
}

bool store(TrapContext& context, Address at, std::size_t bytes, Through how, std::uint64_t word) noexcept {
  if (misaligned(context, at, bytes))
    return false;
  HardwareFault fault;
  if (context.store(at, {reinterpret_cast<const std::uint8_t*>(&word), bytes}, fault))
    return true;
  raise_access(context, fault, how);
  return false;
}

bool load_vector(TrapContext& context, Address at, std::size_t bytes, Through how, bool aligned,
                 Vector& out) noexcept {
  if (refuses_vector(context, at, bytes, aligned))
    return false;
  out = {};
  HardwareFault fault;
  if (context.load(at, {reinterpret_cast<std::uint8_t*>(out.data()), bytes}, fault))
    return true;
  raise_access(context, fault, how);
  return false;
}

bool store_vector(TrapContext& context, Address at, std::size_t bytes, Through how, bool aligned,
                  const Vector& v) noexcept {
  if (refuses_vector(context, at, bytes, aligned))
    return false;
  HardwareFault fault;
  if (context.store(at, {reinterpret_cast<const std::uint8_t*>(v.data()), bytes}, fault))
    return true;
  raise_access(context, fault, how);
  return false;
}

void* in_place(TrapContext& context, Address at, std::size_t bytes, Through how) noexcept {
  if (misaligned(context, at, bytes))
    return nullptr;
  HardwareFault fault;
  void* const there = context.in_place(at, bytes, fault);
  if (there == nullptr)
    raise_access(context, fault, how);
  return there;
}

bool read(TrapContext& context, const MicroPlan& plan, const Place& place, std::uint64_t& out) noexcept {
  switch (place.kind) {
  case Place::Kind::Register: out = context.get(place.reg); return true;
  case Place::Kind::HighByte: out = context.get(place.reg) >> 8 & 0xFF; return true;
  case Place::Kind::Immediate: out = plan.immediate; return true;
  case Place::Kind::Memory:
    return load(context, effective_address(context, plan.address), place.bytes, through(plan.address), out);
  case Place::Kind::Xmm:
  case Place::Kind::None: out = 0; return true;
  }
  return true;
}

// A program that steps itself gets its debug trap behind this instruction, as from the hardware.
void go_on(TrapContext& context, Address pc) noexcept {
  context.set_pc(pc);
  if ((context.get(Register::Rflags) & kTrapFlag) != 0)
    context.raise({SIGTRAP, TRAP_TRACE, pc});
}

void raise_unfetchable(TrapContext& context) noexcept {
  context.raise({SIGSEGV, SI_KERNEL, Address{}});
}

} // namespace proberace::run
