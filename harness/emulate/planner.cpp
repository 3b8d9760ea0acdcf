// From a decoded instruction to its micro-plan, in control context: the only place that allocates, and that
// knows the decoder's spelling of names.
#include "harness/base/failure.h"
#include "harness/code/operand.h"
#include "harness/emulate/habits.h"
#include "harness/emulate/micro_plan.h"
#include "harness/emulate/semantics.h"

#include <bit>

namespace proberace {

namespace {

using Planned = std::expected<std::unique_ptr<const MicroPlan>, Error>;

std::unexpected<Error> refuse(const Instruction& instruction, std::string_view why) {
  return failure(ErrorKind::InstructionUnsupported, instruction.address, "{}: {}", mnemonic_name(instruction),
                 why);
}

Place place_of(const Operand& o) {
  using Kind = Place::Kind;
  switch (o.kind) {
  case Operand::Kind::Register: return {o.high_byte ? Kind::HighByte : Kind::Register, o.bytes, o.reg};
  case Operand::Kind::Memory: return {Kind::Memory, o.bytes};
  case Operand::Kind::Immediate: return {Kind::Immediate, sizeof o.immediate}; // sign-extended already
  case Operand::Kind::Xmm: return {Kind::Xmm, o.bytes, Register::Rax, o.vector};
  case Operand::Kind::Other: break;
  }
  return {};
}

EffectiveAddress address_from(const Operand& o, bool narrow) {
  EffectiveAddress e;
  e.displacement = o.displacement;
  e.has_base = o.base.has_value();
  e.base = o.base.value_or(Register::Rax);
  e.has_index = o.index.has_value();
  e.index = o.index.value_or(Register::Rax);
  e.shift = static_cast<std::uint8_t>(o.scale > 1 ? std::countr_zero(unsigned{o.scale}) : 0);
  e.has_segment = o.segment.has_value();
  e.segment = o.segment.value_or(Segment::Fs);
  e.narrow = narrow;
  e.on_stack_segment = o.on_stack_segment;
  return e;
}

void take_operands(MicroPlan& plan, const Operands& operands) {
  for (std::size_t i = 0; i < operands.count; ++i) {
    const Operand& o = operands.list[i];
    if (o.kind == Operand::Kind::Memory)
      plan.address = address_from(o, operands.narrow_address);
    if (o.kind == Operand::Kind::Immediate)
      plan.immediate = o.immediate;
  }
}

bool is_memory(const Place& place) {
  return place.kind == Place::Kind::Memory;
}

// ---- by shape

struct ShapeRunner {
  Shape shape;
  Runner run;
  bool branches; // whose width a prefix 66 would change, on some processors
};

constexpr ShapeRunner kRunners[] = {
    {Shape::Nothing, &run::nothing, false},
    {Shape::Move, &run::move, false},
    {Shape::MoveSigned, &run::move, false},
    {Shape::LoadAddress, &run::load_address, false},
    {Shape::Push, &run::push, false},
    {Shape::Pop, &run::pop, false},
    {Shape::Leave, &run::leave, true},
    {Shape::Jump, &run::jump, true},
    {Shape::Call, &run::call, true},
    {Shape::Return, &run::return_near, true},
    {Shape::CounterZero32, &run::jump_if_counter_zero, true},
    {Shape::CounterZero64, &run::jump_if_counter_zero, true},
    {Shape::Loop, &run::loop, true},
    {Shape::LoopWhile, &run::loop_while, true},
    {Shape::JumpIf, &run::jump_if, true},
    {Shape::SetByte, &run::set_byte, false},
    {Shape::ConditionalMove, &run::conditional_move, false},
};

const ShapeRunner& runner_of(Shape shape) {
  for (const ShapeRunner& row : kRunners)
    if (row.shape == shape)
      return row;
  std::abort(); // every shape has a row
}

std::uint8_t counter_width(Shape shape, const Operands& operands) {
  switch (shape) {
  case Shape::CounterZero32: return 4;
  case Shape::Loop:
  case Shape::LoopWhile: return operands.narrow_address ? 4 : 8;
  default: return 8;
  }
}

Planned plan_shape(const Instruction& instruction, const ShapeRow& row, const Operands& operands) {
  const ShapeRunner& runner = runner_of(row.shape);
  if (runner.branches && instruction.operand_size_prefix)
    return refuse(instruction, "with a 16-bit operand size, which processors differ about");
  // F3 E0 (rep loopne) branches as loope does on AMD's processors; the manuals do not know it.
  if (runner.run == &run::loop_while && instruction.repeat_prefix)
    return refuse(instruction, "with a repeat prefix, which processors may take for another condition");
  // 66 63 reads two bytes on Intel's processors (SDM vol. 2B, MOVSXD) and four on AMD's.
  if (row.mnemonic == "movsxd" && operands.list[0].bytes == 2)
    return refuse(instruction, "to 16 bits, whose source processors differ about");
  auto plan = std::make_unique<MicroPlan>();
  plan->run = runner.run;
  plan->next = instruction.next();
  if (row.shape == Shape::Nothing) {
    // 0F 0D with a register: a nop for the decoder and for Intel, #UD on AMD.
    if (operands.count > 1 && operands.list[0].kind != Operand::Kind::Memory)
      return refuse(instruction, "reserved, and not a nop for every processor");
    // F3 41 90: pause for the decoder, xchg %r8,%rax for the processor (H58).
    if (row.mnemonic == "pause" && instruction.length > 2)
      return refuse(instruction, "with further prefixes, which make it another instruction");
    return plan;
  }
  take_operands(*plan, operands);
  for (std::size_t i = 0; i < operands.count; ++i)
    if (operands.list[i].kind == Operand::Kind::Other)
      return refuse(instruction, "with an operand that is no general register, memory or immediate");
  plan->condition = row.condition;
  plan->sign_extends = row.shape == Shape::MoveSigned;
  plan->target = Address{plan->immediate};
  plan->width = counter_width(row.shape, operands);
  plan->released =
      row.shape == Shape::Return ? static_cast<std::uint16_t>(plan->immediate) : std::uint16_t{0};
  plan->to = place_of(operands.list[0]);
  plan->from = place_of(operands.list[operands.count > 1 ? 1 : 0]);
  if (row.shape == Shape::Push || row.shape == Shape::Pop)
    plan->width = operands.width == 2 ? 2 : 8;
  if (row.shape == Shape::Move && plan->from.kind == Place::Kind::Register &&
      plan->to.kind == Place::Kind::Register && plan->from.bytes == plan->to.bytes)
    plan->run = &run::move_register;
  return plan;
}

// ---- on vector registers

bool has_vector(const Operands& operands) {
  for (std::size_t i = 0; i < operands.count; ++i)
    if (operands.list[i].kind == Operand::Kind::Xmm)
      return true;
  return false;
}

Place vector_place(const Operand& o, const VectorRow& row, std::uint8_t at) {
  Place place = place_of(o);
  place.bytes = row.bytes;
  if (place.kind == Place::Kind::Xmm)
    place.at = at;
  return place;
}

Planned plan_vector(const Instruction& instruction, const VectorRow& row, const Operands& operands) {
  for (std::size_t i = 0; i < operands.count; ++i)
    if (operands.list[i].kind == Operand::Kind::Other)
      return refuse(instruction, "with an operand that is no general or xmm register, memory or immediate");
  const bool from_memory = operands.list[1].kind == Operand::Kind::Memory;
  if (row.memory == VectorRow::Memory::None && from_memory)
    return refuse(instruction, "has no emulation from memory");
  if (row.mnemonic == "lddqu" && !__builtin_cpu_supports("sse3"))
    return refuse(instruction, "which this processor does not have");
  auto plan = std::make_unique<MicroPlan>();
  take_operands(*plan, operands);
  plan->run = row.run;
  plan->next = instruction.next();
  plan->to = vector_place(operands.list[0], row, row.to_at);
  plan->from = vector_place(operands.list[1], row, row.from_at);
  plan->aligned = row.aligned;
  plan->zeroes_rest =
      row.rest == VectorRow::Rest::Zeroed || (row.rest == VectorRow::Rest::ZeroedByMemory && from_memory);
  return plan;
}

// ---- by thunk

Place wired(Wire wire, const Operands& operands, std::uint8_t bytes) {
  switch (wire) {
  case Wire::None: return {};
  case Wire::Op0: return place_of(operands.list[0]);
  case Wire::Op1: return place_of(operands.list[1]);
  case Wire::Op2: return place_of(operands.list[2]);
  case Wire::Accumulator: return {Place::Kind::Register, bytes, Register::Rax};
  case Wire::Data: return {Place::Kind::Register, bytes, Register::Rdx};
  }
  return {};
}

ThunkWiring wire(const Wiring& wiring, const Operands& operands, std::uint8_t bytes) {
  // A byte is multiplied into ax and divided out of it.
  const bool byte_into_ax = bytes == 1 && wiring.second_to == Wire::Data;
  const auto place = [&](Wire w) { return wired(w, operands, byte_into_ax ? std::uint8_t{2} : bytes); };
  ThunkWiring w{place(wiring.rax), place(wiring.rdx), place(wiring.rcx), {}, {}};
  w.first = {wiring.first_from, place(wiring.first_to)};
  w.second = {wiring.second_from, place(wiring.second_to)};
  if (byte_into_ax)
    w.second = {};
  return w;
}

// The runner, or the locked instruction itself, sees to the operand in memory.
void reach_memory_in_place(ThunkWiring& w) {
  for (Place* place : {&w.rax, &w.rdx, &w.rcx})
    if (is_memory(*place))
      *place = {};
  for (ThunkWiring::WriteBack* back : {&w.first, &w.second})
    if (is_memory(back->to))
      *back = {};
}

bool is_bit_operation(std::string_view mnemonic) {
  return mnemonic == "bt" || mnemonic == "bts" || mnemonic == "btr" || mnemonic == "btc";
}

std::string_view thunk_name(const ComputeRow& row, const Operands& operands) {
  const Operand& rotated = operands.list[0];
  const Operand& count = operands.list[1];
  const bool keeps_overflow =
      kHabits.counted_rotation_keeps_overflow && rotated.kind == Operand::Kind::Register &&
      count.kind == Operand::Kind::Immediate && (count.immediate & (rotated.bytes == 8 ? 63U : 31U)) > 1;
  if (keeps_overflow && row.mnemonic == "rol")
    return "rol_by";
  if (keeps_overflow && row.mnemonic == "ror")
    return "ror_by";
  return row.thunk.empty() ? row.mnemonic : row.thunk;
}

Planned plan_computation(const Instruction& instruction, const ComputeRow& row, Operands operands,
                         const Abilities& abilities) {
  for (std::size_t i = 0; i < operands.count; ++i)
    if (operands.list[i].kind == Operand::Kind::Other)
      return refuse(instruction, "with an operand that is no general register, memory or immediate");
  if (row.mnemonic == "popcnt" && !__builtin_cpu_supports("popcnt"))
    return refuse(instruction, "which this processor does not have");
  const bool exchanges = row.mnemonic == "xchg";
  if (exchanges && operands.list[1].kind == Operand::Kind::Memory)
    std::swap(operands.list[0], operands.list[1]);
  const bool to_memory = operands.count > 0 && operands.list[0].kind == Operand::Kind::Memory;
  if (is_bit_operation(row.mnemonic)) {
    if (to_memory && operands.list[1].kind == Operand::Kind::Register)
      return refuse(instruction, "with a bit offset in a register, which reaches beyond its operand");
    operands.list[1].immediate &= 8U * operands.list[0].bytes - 1;
  }
  const bool locked = to_memory && (instruction.locked || exchanges);
  if (locked && !abilities.atomic_access)
    return refuse(instruction, "is atomic, and a supervisor has no atomic access to its target's memory");
  auto plan = std::make_unique<MicroPlan>();
  take_operands(*plan, operands);
  const std::uint8_t bytes = row.bytes != 0 ? row.bytes : operands.list[0].bytes;
  plan->thunk = thunk_of(thunk_name(row, operands), bytes, locked);
  if (plan->thunk == nullptr)
    return refuse(instruction, "has no emulation for this operand size");
  plan->run = locked ? &run::compute_locked : row.run;
  plan->next = instruction.next();
  plan->to = place_of(operands.list[0]);
  plan->wiring = wire(*row.wiring, operands, bytes);
  plan->divides_signed = row.mnemonic == "idiv";
  const bool modifies =
      is_memory(plan->wiring.first.to) || is_memory(plan->wiring.second.to); // reads it, too
  plan->operand_in_rcx = row.wiring->rcx == Wire::Op0;
  if (modifies && !locked && abilities.atomic_access)
    plan->run = &run::compute_in_place;
  if (modifies && abilities.atomic_access)
    reach_memory_in_place(plan->wiring);
  return plan;
}

} // namespace

std::expected<std::unique_ptr<const MicroPlan>, Error> plan_emulation(const Instruction& instruction,
                                                                      const Abilities& abilities) {
  if (instruction.hazard != StepHazard::None)
    return refuse(instruction, reason(instruction.hazard));
  const Operands operands = operands_of(instruction);
  if (operands.elision_prefix)
    return refuse(instruction, "with a lock elision prefix");
  const std::string_view mnemonic = mnemonic_name(instruction);
  if (has_vector(operands)) {
    const VectorRow* const row = vector_row_of(mnemonic); // "movsd" is a string instruction's name, too
    return row != nullptr ? plan_vector(instruction, *row, operands)
                          : refuse(instruction, "has no emulation");
  }
  if (const ShapeRow* row = shape_of(mnemonic))
    return plan_shape(instruction, *row, operands);
  if (const ComputeRow* row = computation_of(mnemonic, operands.count))
    return plan_computation(instruction, *row, operands, abilities);
  return refuse(instruction, "has no emulation");
}

} // namespace proberace
