#include "stress/transparency/isa/anatomy.h"

#include <Zydis/Zydis.h>

namespace proberace {

namespace {

std::optional<Register> general(ZydisRegister r) {
  if (r == ZYDIS_REGISTER_NONE || r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
    return std::nullopt;
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64)
    return std::nullopt;
  return static_cast<Register>(ZydisRegisterGetId(whole)); // numbered as in ModRM, both
}

bool is_high_byte(ZydisRegister r) {
  return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
}

bool is_vector(ZydisRegister r) {
  const ZydisRegisterClass kind = ZydisRegisterGetClass(r);
  return kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM || kind == ZYDIS_REGCLASS_ZMM;
}

// By its name: v(p)gatherDps and vscatterQ... have 32-bit or 64-bit indices.
std::size_t lane_bytes(ZydisMnemonic m) {
  const std::string_view name = ZydisMnemonicGetString(m);
  const std::size_t at = name.starts_with("v") ? name.find("er") : name.npos;
  return at != name.npos && name.substr(at + 2, 1) == "d" ? 4 : 8;
}

MemoryReach reach(const ZydisDecodedInstruction& i, const ZydisDecodedOperand& o) {
  MemoryReach m;
  m.base = general(o.mem.base);
  m.rip_relative = o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_EIP;
  if (is_vector(o.mem.index)) {
    m.vector_index = static_cast<std::size_t>(ZydisRegisterGetId(o.mem.index));
    m.lane_bytes = lane_bytes(i.mnemonic);
  } else {
    m.index = general(o.mem.index);
  }
  m.scale = o.mem.scale == 0 ? std::uint8_t{1} : o.mem.scale;
  m.displacement = o.mem.disp.has_displacement ? o.mem.disp.value : 0;
  if (o.mem.segment == ZYDIS_REGISTER_FS)
    m.segment = Segment::Fs;
  if (o.mem.segment == ZYDIS_REGISTER_GS)
    m.segment = Segment::Gs;
  m.narrow = i.address_width == 32;
  m.accessed = o.mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
               (o.actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_MASK_WRITE)) != 0;
  return m;
}

} // namespace

Anatomy anatomy_of(const Instruction& instruction) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction i;
  ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
  Anatomy a;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, instruction.bytes.data(), instruction.length, &i, o)))
    return a;
  for (std::size_t n = 0; n < i.operand_count; ++n) {
    if (o[n].type != ZYDIS_OPERAND_TYPE_MEMORY)
      continue;
    a.memory.push_back(reach(i, o[n]));
    const MemoryReach& m = a.memory.back();
    const bool only_displacement = !m.base && !m.index && !m.vector_index;
    if (only_displacement && i.raw.disp.size >= 32) {
      a.displacement_offset = i.raw.disp.offset;
      a.displacement_bytes = i.raw.disp.size / 8;
    }
  }
  const bool branch = i.meta.category == ZYDIS_CATEGORY_CALL || i.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
  if (branch && i.operand_count > 0 && o[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
    a.jumps_through = general(o[0].reg.value);
  a.jumps_through_memory = branch && i.operand_count > 0 && o[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  a.returns = i.meta.category == ZYDIS_CATEGORY_RET;
  switch (i.mnemonic) {
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_BTS:
  case ZYDIS_MNEMONIC_BTR:
  case ZYDIS_MNEMONIC_BTC:
    if (o[0].type == ZYDIS_OPERAND_TYPE_MEMORY && o[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
      a.bit_offset = general(o[1].reg.value);
    break;
  case ZYDIS_MNEMONIC_DIV:
  case ZYDIS_MNEMONIC_IDIV:
    if (o[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
      if (const auto by = general(o[0].reg.value); by && *by != Register::Rax && *by != Register::Rdx &&
                                                   *by != Register::Rsp && !is_high_byte(o[0].reg.value))
        a.divides = Divisor{*by, o[0].size, i.mnemonic == ZYDIS_MNEMONIC_IDIV};
    break;
  case ZYDIS_MNEMONIC_MOVDIR64B:
  case ZYDIS_MNEMONIC_ENQCMD:
  case ZYDIS_MNEMONIC_ENQCMDS: a.writes_through = general(o[0].reg.value); break;
  case ZYDIS_MNEMONIC_CLZERO:
  case ZYDIS_MNEMONIC_MONITOR:
  case ZYDIS_MNEMONIC_MONITORX: a.writes_through = Register::Rax; break;
  case ZYDIS_MNEMONIC_UMONITOR: a.writes_through = general(o[0].reg.value); break;
  case ZYDIS_MNEMONIC_LEAVE:
  case ZYDIS_MNEMONIC_ENTER: a.restores_frame = true; break;
  case ZYDIS_MNEMONIC_SYSCALL: a.system_call = true; break;
  case ZYDIS_MNEMONIC_INT: a.system_call = true; break;
  // TSC_AUX is the host's own processor number under some hypervisors: it changes under a pinned thread.
  case ZYDIS_MNEMONIC_RDTSCP: a.unpredictable = {Register::Rax, Register::Rdx, Register::Rcx}; break;
  case ZYDIS_MNEMONIC_RDPID:
    if (const auto to = general(o[0].reg.value))
      a.unpredictable = {*to};
    break;
  case ZYDIS_MNEMONIC_RDTSC:
  case ZYDIS_MNEMONIC_RDPRU: a.unpredictable = {Register::Rax, Register::Rdx}; break;
  case ZYDIS_MNEMONIC_RDRAND:
  case ZYDIS_MNEMONIC_RDSEED:
    if (const auto to = general(o[0].reg.value))
      a.unpredictable = {*to};
    a.unpredictable_flags = true;
    break;
  default: break;
  }
  const std::string_view name = ZydisMnemonicGetString(i.mnemonic);
  if (instruction.repeats || name.starts_with("loop"))
    a.counter = Register::Rcx;
  return a;
}

} // namespace proberace
