#include "harness/emulate/runners.h"

#include "harness/emulate/access.h"
#include "harness/emulate/condition.h"

#include <csignal>

namespace proberace::run {

namespace {

std::uint64_t sign_extended(std::uint64_t word, std::size_t bytes) noexcept {
  const auto shift = static_cast<int>(64 - 8 * bytes);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(word << shift) >> shift);
}

bool write(TrapContext& context, const MicroPlan& plan, const Place& place, std::uint64_t word) noexcept {
  if (place.kind == Place::Kind::Memory)
    return store(context, effective_address(context, plan.address), place.bytes, through(plan.address), word);
  write_register(context, place, word);
  return true;
}

std::uint64_t stack_pointer(const TrapContext& context) noexcept {
  return context.get(Register::Rsp);
}

} // namespace

void nothing(TrapContext& context, const MicroPlan& plan) noexcept {
  go_on(context, plan.next);
}

void move_register(TrapContext& context, const MicroPlan& plan) noexcept {
  write_register(context, plan.to, context.get(plan.from.reg));
  go_on(context, plan.next);
}

void move(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t word = 0;
  if (!read(context, plan, plan.from, word))
    return;
  word = plan.sign_extends ? sign_extended(word, plan.from.bytes) : truncated(word, plan.from.bytes);
  if (write(context, plan, plan.to, word))
    go_on(context, plan.next);
}

void load_address(TrapContext& context, const MicroPlan& plan) noexcept {
  write_register(context, plan.to, value(effective_address(context, plan.address)));
  go_on(context, plan.next);
}

void set_byte(TrapContext& context, const MicroPlan& plan) noexcept {
  if (write(context, plan, plan.to, condition_holds(plan.condition, context.get(Register::Rflags)) ? 1 : 0))
    go_on(context, plan.next);
}

// The source is read whether or not the condition holds, and a 32-bit destination loses its upper half either
// way (SDM vol. 2A, CMOVcc).
void conditional_move(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t word = 0;
  if (!read(context, plan, plan.from, word))
    return;
  const bool holds = condition_holds(plan.condition, context.get(Register::Rflags));
  write_register(context, plan.to, holds ? word : context.get(plan.to.reg));
  go_on(context, plan.next);
}

void push(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t word = 0;
  if (!read(context, plan, plan.from, word)) // with rsp as it is: push %rsp pushes the old one
    return;
  const std::uint64_t top = stack_pointer(context) - plan.width;
  if (!store(context, Address{top}, plan.width, Through::Stack, word))
    return;
  context.set(Register::Rsp, top);
  go_on(context, plan.next);
}

void pop(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t word = 0;
  const std::uint64_t top = stack_pointer(context);
  if (!load(context, Address{top}, plan.width, Through::Stack, word))
    return;
  if (plan.to.kind == Place::Kind::Memory &&
      !store(context, effective_address(context, plan.address, plan.width), plan.width, through(plan.address),
             word))
    return;
  context.set(Register::Rsp, top + plan.width);
  if (plan.to.kind == Place::Kind::Register)
    write_register(context, plan.to, word); // after rsp: pop %rsp keeps what was popped
  go_on(context, plan.next);
}

void leave(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t word = 0;
  const std::uint64_t frame = context.get(Register::Rbp);
  if (!load(context, Address{frame}, plan.width, Through::Stack, word))
    return;
  context.set(Register::Rsp, frame + plan.width);
  context.set(Register::Rbp, word);
  go_on(context, plan.next);
}

void jump(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t target = 0;
  if (!read(context, plan, plan.from, target))
    return;
  if (can_fetch(Address{target}))
    go_on(context, Address{target});
  else
    raise_unfetchable(context);
}

void jump_if(TrapContext& context, const MicroPlan& plan) noexcept {
  go_on(context, condition_holds(plan.condition, context.get(Register::Rflags)) ? plan.target : plan.next);
}

void call(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t target = 0;
  if (!read(context, plan, plan.from, target)) // with rsp as it is
    return;
  const std::uint64_t top = stack_pointer(context) - plan.width;
  if (!can_fetch(Address{target})) {
    // The stack's fault comes first: seen on either maker's.
    std::uint64_t there = 0;
    if (load(context, Address{top}, plan.width, Through::Stack, there) &&
        store(context, Address{top}, plan.width, Through::Stack,
              kHabits.faulting_call_pushes ? value(plan.next) : there))
      raise_unfetchable(context);
    return;
  }
  if (!store(context, Address{top}, plan.width, Through::Stack, value(plan.next)))
    return;
  context.set(Register::Rsp, top);
  go_on(context, Address{target});
}

void return_near(TrapContext& context, const MicroPlan& plan) noexcept {
  std::uint64_t target = 0;
  const std::uint64_t top = stack_pointer(context);
  if (!load(context, Address{top}, plan.width, Through::Stack, target))
    return;
  if (!can_fetch(Address{target}))
    return raise_unfetchable(context);
  context.set(Register::Rsp, top + plan.width + plan.released);
  go_on(context, Address{target});
}

void jump_if_counter_zero(TrapContext& context, const MicroPlan& plan) noexcept {
  const bool zero = truncated(context.get(Register::Rcx), plan.width) == 0;
  go_on(context, zero ? plan.target : plan.next);
}

namespace {

// Counts first, then looks (H59).
std::uint64_t counted_down(TrapContext& context, const MicroPlan& plan) noexcept {
  const std::uint64_t left = truncated(context.get(Register::Rcx) - 1, plan.width);
  context.set(Register::Rcx, left);
  return left;
}

} // namespace

void loop(TrapContext& context, const MicroPlan& plan) noexcept {
  go_on(context, counted_down(context, plan) != 0 ? plan.target : plan.next);
}

void loop_while(TrapContext& context, const MicroPlan& plan) noexcept {
  const bool more = counted_down(context, plan) != 0;
  const bool holds = condition_holds(plan.condition, context.get(Register::Rflags));
  go_on(context, more && holds ? plan.target : plan.next);
}

} // namespace proberace::run
