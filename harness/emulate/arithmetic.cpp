// The runners that compute by a thunk.
#include "harness/emulate/access.h"
#include "harness/emulate/runners.h"

#include <csignal>

namespace proberace::run {

namespace {

using Output = ThunkWiring::Output;

bool read_inputs(TrapContext& context, const MicroPlan& plan, ThunkRegisters& registers) noexcept {
  registers.flags = context.get(Register::Rflags) & kStatusFlags;
  return read(context, plan, plan.wiring.rax, registers.rax) &&
         read(context, plan, plan.wiring.rdx, registers.rdx) &&
         read(context, plan, plan.wiring.rcx, registers.rcx);
}

std::uint64_t output(const ThunkRegisters& registers, Output from) noexcept {
  return from == Output::Rax ? registers.rax : from == Output::Rdx ? registers.rdx : registers.rcx;
}

bool store_output(TrapContext& context, const MicroPlan& plan, const ThunkRegisters& registers,
                  const ThunkWiring::WriteBack& back) noexcept {
  return back.to.kind != Place::Kind::Memory ||
         store(context, effective_address(context, plan.address), back.to.bytes, through(plan.address),
               output(registers, back.from));
}

// A whole register of 32 or 64 bits is what the thunk left there, as silicon has it: bsf of 0 and cmpxchg
// write an upper half or do not.
void set_output(TrapContext& context, const ThunkRegisters& registers,
                const ThunkWiring::WriteBack& back) noexcept {
  if (back.from == Output::None || back.to.kind == Place::Kind::Memory)
    return;
  const std::uint64_t word = output(registers, back.from);
  if (back.to.bytes >= 4)
    context.set(back.to.reg, word);
  else
    write_register(context, back.to, word);
}

void complete(TrapContext& context, const MicroPlan& plan, const ThunkRegisters& registers) noexcept {
  set_output(context, registers, plan.wiring.first);
  set_output(context, registers, plan.wiring.second);
  context.set(Register::Rflags, (context.get(Register::Rflags) & ~kStatusFlags) |
                                    (registers.flags & kStatusFlags)); // TF stays the target's own
  go_on(context, plan.next);
}

void finish(TrapContext& context, const MicroPlan& plan, ThunkRegisters& registers) noexcept {
  plan.thunk(&registers);
  if (store_output(context, plan, registers, plan.wiring.first) &&
      store_output(context, plan, registers, plan.wiring.second))
    complete(context, plan, registers);
}

// True if the quotient does not fit, or there is none (SDM vol. 2A, DIV and IDIV): the dividend is twice as
// wide as the operand.
bool divide_error(const MicroPlan& plan, const ThunkRegisters& registers) noexcept {
  const std::size_t bytes = plan.wiring.rcx.bytes;
  const int bits = static_cast<int>(8 * bytes);
  const std::uint64_t divisor = truncated(registers.rcx, bytes);
  if (divisor == 0)
    return true;
  const std::uint64_t high =
      truncated(bytes == 1 ? registers.rax >> 8 : registers.rdx, bytes); // ax, or rdx:rax
  const std::uint64_t low = truncated(registers.rax, bytes);
  if (!plan.divides_signed)
    return high >= divisor;
  // Magnitudes: |dividend| / |divisor| must be below 2^(bits-1), or equal to it where the quotient is
  // negative. Compared by their upper parts, so that no 128-bit division (a call into libgcc) is needed.
  __extension__ using Wide = unsigned __int128;
  const bool negative_dividend = (high >> (bits - 1) & 1) != 0;
  const bool negative_divisor = (divisor >> (bits - 1) & 1) != 0;
  Wide dividend = static_cast<Wide>(high) << bits | low;
  if (negative_dividend) {
    dividend = ~dividend + 1;
    if (bits < 64)
      dividend &= (Wide{1} << (2 * bits)) - 1;
  }
  const std::uint64_t magnitude = negative_divisor ? truncated(~divisor + 1, bytes) : divisor;
  const bool negative = negative_dividend != negative_divisor;
  // quotient <= limit  <=>  dividend < magnitude * (limit + 1)
  const std::uint64_t limit = (std::uint64_t{1} << (bits - 1)) - (negative ? 0 : 1);
  return dividend >= static_cast<Wide>(magnitude) * (static_cast<Wide>(limit) + 1);
}

} // namespace

void compute(TrapContext& context, const MicroPlan& plan) noexcept {
  ThunkRegisters registers;
  if (read_inputs(context, plan, registers))
    finish(context, plan, registers);
}

void divide(TrapContext& context, const MicroPlan& plan) noexcept {
  ThunkRegisters registers;
  if (!read_inputs(context, plan, registers))
    return;
  if (divide_error(plan, registers))
    context.raise({SIGFPE, FPE_INTDIV, context.pc()});
  else
    finish(context, plan, registers);
}

namespace {

struct [[gnu::packed, gnu::may_alias]] Unaligned {
  union {
    std::uint8_t byte;
    std::uint16_t word;
    std::uint32_t half;
    std::uint64_t whole;
  };
};

// One access each, so that other threads never see it torn.
std::uint64_t read_there(const volatile Unaligned* there, std::size_t bytes) noexcept {
  switch (bytes) {
  case 1: return there->byte;
  case 2: return there->word;
  case 4: return there->half;
  default: return there->whole;
  }
}

void write_there(volatile Unaligned* there, std::size_t bytes, std::uint64_t word) noexcept {
  switch (bytes) {
  case 1: there->byte = static_cast<std::uint8_t>(word); break;
  case 2: there->word = static_cast<std::uint16_t>(word); break;
  case 4: there->half = static_cast<std::uint32_t>(word); break;
  default: there->whole = word;
  }
}

} // namespace

// One question for both accesses, and the write permission is looked at first, as the hardware does for a
// read-modify-write across two pages.
void compute_in_place(TrapContext& context, const MicroPlan& plan) noexcept {
  ThunkRegisters registers;
  auto* const operand = static_cast<volatile Unaligned*>(
      in_place(context, effective_address(context, plan.address), plan.to.bytes, through(plan.address)));
  if (operand == nullptr || !read_inputs(context, plan, registers))
    return;
  std::uint64_t& word = plan.operand_in_rcx ? registers.rcx : registers.rax;
  word = read_there(operand, plan.to.bytes);
  plan.thunk(&registers);
  write_there(operand, plan.to.bytes, word);
  complete(context, plan, registers);
}

// The one write to memory is the locked instruction itself, and nothing after it can fail.
void compute_locked(TrapContext& context, const MicroPlan& plan) noexcept {
  ThunkRegisters registers;
  if (!read_inputs(context, plan, registers))
    return;
  void* const operand =
      in_place(context, effective_address(context, plan.address), plan.to.bytes, through(plan.address));
  if (operand == nullptr)
    return;
  registers.rcx = reinterpret_cast<std::uint64_t>(operand);
  plan.thunk(&registers);
  complete(context, plan, registers);
}

} // namespace proberace::run
