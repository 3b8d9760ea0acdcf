#include "harness/code/operand.h"

#include "harness/code/zydis_decoder.h"

namespace proberace {

namespace {

std::optional<Register> general_register(ZydisRegister r) {
  const ZydisRegister widest = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
  if (widest < ZYDIS_REGISTER_RAX || widest > ZYDIS_REGISTER_R15)
    return std::nullopt;
  // Zydis numbers them as the hardware does, as Register does.
  return static_cast<Register>(widest - ZYDIS_REGISTER_RAX);
}

Operand register_operand(const ZydisDecodedOperand& raw) {
  Operand o;
  const ZydisRegister r = raw.reg.value;
  if (const auto general = general_register(r)) {
    o.kind = Operand::Kind::Register;
    o.reg = *general;
    o.high_byte = r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
  }
  if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM15) {
    o.kind = Operand::Kind::Xmm;
    o.vector = static_cast<std::uint8_t>(r - ZYDIS_REGISTER_XMM0);
  }
  return o;
}

bool nameable(ZydisRegister r) {
  return r == ZYDIS_REGISTER_NONE || general_register(r).has_value();
}

// Mod 0 with base 5 in the SIB byte is a displacement and no base, whatever REX.B says (SDM vol. 2A, table
// 2-5); with prefix 67 Zydis 4.0 makes it r13d and no displacement (its issue 592).
void take_base_back(const ZydisDecodedInstruction& raw, ZydisDecodedOperand& o) {
  const bool without_base = raw.raw.modrm.mod == 0 && raw.raw.modrm.rm == 4 && raw.raw.sib.base == 5;
  if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || o.mem.base != ZYDIS_REGISTER_R13D || !without_base)
    return;
  o.mem.base = ZYDIS_REGISTER_NONE;
  o.mem.disp = {ZYAN_TRUE, raw.raw.disp.value};
}

Operand memory_operand(const ZydisDecodedOperand& raw, const Instruction& instruction) {
  Operand o;
  const auto& mem = raw.mem;
  const bool relative = mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP;
  if ((!relative && !nameable(mem.base)) || !nameable(mem.index))
    return o;
  o.kind = Operand::Kind::Memory;
  o.displacement = mem.disp.has_displacement ? mem.disp.value : 0;
  if (relative)
    o.displacement += static_cast<std::int64_t>(value(instruction.next()));
  else
    o.base = general_register(mem.base);
  o.index = general_register(mem.index);
  o.scale = mem.scale;
  if (mem.segment == ZYDIS_REGISTER_FS)
    o.segment = Segment::Fs;
  else if (mem.segment == ZYDIS_REGISTER_GS)
    o.segment = Segment::Gs;
  o.on_stack_segment = mem.segment == ZYDIS_REGISTER_SS;
  return o;
}

Operand immediate_operand(const ZydisDecodedOperand& raw, const Instruction& instruction) {
  Operand o;
  o.kind = Operand::Kind::Immediate;
  o.immediate = raw.imm.value.u;
  if (raw.imm.is_relative)
    o.immediate += value(instruction.next());
  return o;
}

Operand operand(const ZydisDecodedOperand& raw, const Instruction& instruction) {
  Operand o;
  switch (raw.type) {
  case ZYDIS_OPERAND_TYPE_REGISTER: o = register_operand(raw); break;
  case ZYDIS_OPERAND_TYPE_MEMORY: o = memory_operand(raw, instruction); break;
  case ZYDIS_OPERAND_TYPE_IMMEDIATE: o = immediate_operand(raw, instruction); break;
  default: break;
  }
  o.bytes = static_cast<std::uint8_t>(raw.size / 8);
  return o;
}

} // namespace

Operands operands_of(const Instruction& instruction) {
  Operands all;
  ZydisDecodedInstruction raw;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis_decoder(), instruction.bytes.data(), instruction.length,
                                           &raw, operands)))
    return all;
  for (std::size_t i = 0; i < raw.operand_count_visible && all.count < Operands::kMost; ++i) {
    take_base_back(raw, operands[i]);
    all.list[all.count++] = operand(operands[i], instruction);
  }
  all.width = static_cast<std::uint8_t>(raw.operand_width / 8);
  all.narrow_address = raw.address_width == 32;
  all.elision_prefix = (raw.attributes & (ZYDIS_ATTRIB_HAS_XACQUIRE | ZYDIS_ATTRIB_HAS_XRELEASE)) != 0;
  return all;
}

} // namespace proberace
