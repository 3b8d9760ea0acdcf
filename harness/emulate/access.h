// How runners reach operands. signal-safe throughout. A function that returns false has raised the fault.
#pragma once

#include "harness/emulate/habits.h"
#include "harness/emulate/micro_plan.h"

namespace proberace::run {

inline constexpr std::uint64_t kAlignmentCheckBit = 0x40000; // the same
inline constexpr std::uint64_t kLow32 = 0xFFFFFFFF;

enum class Through : std::uint8_t { Data, Stack };

inline bool canonical(Address a) noexcept {
  const auto upper = static_cast<std::int64_t>(value(a)) >> 47;
  return upper == 0 || upper == -1;
}

// `pushed` is added to rsp where it is the base: pop computes its destination with rsp already moved.
inline Address effective_address(const TrapContext& context, const EffectiveAddress& e,
                                 std::uint64_t pushed = 0) noexcept {
  std::uint64_t at = static_cast<std::uint64_t>(e.displacement);
  if (e.has_base)
    at += context.get(e.base) + (e.base == Register::Rsp ? pushed : 0);
  if (e.has_index)
    at += context.get(e.index) << e.shift;
  if (e.narrow)
    at &= kLow32;
  if (e.has_segment && (!kHabits.offset_must_be_canonical || canonical(Address{at})))
    at += context.segment_base(e.segment);
  return Address{at};
}

inline Through through(const EffectiveAddress& e) noexcept {
  return e.on_stack_segment ? Through::Stack : Through::Data;
}

bool load(TrapContext& context, Address at, std::size_t bytes, Through how, std::uint64_t& out) noexcept;
bool store(TrapContext& context, Address at, std::size_t bytes, Through how, std::uint64_t word) noexcept;
void* in_place(TrapContext& context, Address at, std::size_t bytes, Through how) noexcept;

// 16 bytes, or the low `bytes` of them (the rest then zero), of an SSE instruction. `aligned`: as movaps
// asks.
bool load_vector(TrapContext& context, Address at, std::size_t bytes, Through how, bool aligned,
                 Vector& out) noexcept;
bool store_vector(TrapContext& context, Address at, std::size_t bytes, Through how, bool aligned,
                  const Vector& v) noexcept;

// The value of a place; the upper bytes are whatever lies there in a register, zero from memory.
bool read(TrapContext& context, const MicroPlan& plan, const Place& place, std::uint64_t& out) noexcept;

inline std::uint64_t truncated(std::uint64_t word, std::size_t bytes) noexcept {
  return bytes == 8 ? word : word & ((std::uint64_t{1} << (bytes * 8)) - 1);
}

// 32-bit writes zero the upper half, 8- and 16-bit writes leave the rest (SDM vol. 1, 3.4.1.1).
inline void write_register(TrapContext& context, const Place& place, std::uint64_t word) noexcept {
  const std::uint64_t old = context.get(place.reg);
  if (place.kind == Place::Kind::HighByte)
    return context.set(place.reg, (old & ~std::uint64_t{0xFF00}) | (word & 0xFF) << 8);
  switch (place.bytes) {
  case 1: return context.set(place.reg, (old & ~std::uint64_t{0xFF}) | (word & 0xFF));
  case 2: return context.set(place.reg, (old & ~std::uint64_t{0xFFFF}) | (word & 0xFFFF));
  case 4: return context.set(place.reg, word & kLow32);
  default: return context.set(place.reg, word);
  }
}

// The instruction is complete.
void go_on(TrapContext& context, Address pc) noexcept;

// True if a branch there is taken at all. By both manuals a near branch checks its target first (SDM vol. 2A,
// CALL, JMP, RET; APM vol. 3): an address that is not canonical is #GP at the branch.
inline bool can_fetch(Address target) noexcept {
  return canonical(target);
}
void raise_unfetchable(TrapContext& context) noexcept;

} // namespace proberace::run
