#include "harness/code/decode.h"

#include "harness/base/failure.h"
#include "harness/code/zydis_decoder.h"

#include <algorithm>

namespace proberace {

namespace {

struct HazardRow {
  ZydisMnemonic mnemonic;
  StepHazard hazard;
};

constexpr HazardRow kHazards[] = {
    {ZYDIS_MNEMONIC_PUSHFQ, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_PUSHF, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_POPFQ, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_POPF, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_IRETQ, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_IRETD, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_IRET, StepHazard::TouchesTrapFlag},
    {ZYDIS_MNEMONIC_SYSCALL, StepHazard::EntersKernel},
    {ZYDIS_MNEMONIC_SYSENTER, StepHazard::EntersKernel},
    {ZYDIS_MNEMONIC_INT, StepHazard::EntersKernel},
    {ZYDIS_MNEMONIC_INT3, StepHazard::RaisesTrap},
    {ZYDIS_MNEMONIC_INT1, StepHazard::RaisesTrap},
    {ZYDIS_MNEMONIC_INTO, StepHazard::RaisesTrap},
    {ZYDIS_MNEMONIC_XBEGIN, StepHazard::Transactional},
    {ZYDIS_MNEMONIC_XEND, StepHazard::Transactional},
    {ZYDIS_MNEMONIC_XABORT, StepHazard::Transactional},
    {ZYDIS_MNEMONIC_WRFSBASE, StepHazard::ChangesSegmentBase},
    {ZYDIS_MNEMONIC_WRGSBASE, StepHazard::ChangesSegmentBase},
};

bool writes_stack_segment(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* operands) {
  return (i.mnemonic == ZYDIS_MNEMONIC_MOV || i.mnemonic == ZYDIS_MNEMONIC_POP) && i.operand_count > 0 &&
         operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[0].reg.value == ZYDIS_REGISTER_SS;
}

StepHazard hazard_of(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* operands) {
  const auto* row = std::find_if(std::begin(kHazards), std::end(kHazards),
                                 [&](const HazardRow& r) { return r.mnemonic == i.mnemonic; });
  if (row != std::end(kHazards))
    return row->hazard;
  if (writes_stack_segment(i, operands))
    return StepHazard::PostponesTrap;
  if ((i.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0 || i.meta.category == ZYDIS_CATEGORY_IO ||
      i.meta.category == ZYDIS_CATEGORY_IOSTRINGOP)
    return StepHazard::Privileged;
  if (i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
    return StepHazard::FarTransfer;
  return StepHazard::None;
}

Flow flow_of(const ZydisDecodedInstruction& i) {
  const bool relative = (i.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0 && i.raw.imm[0].is_relative;
  switch (i.meta.category) {
  case ZYDIS_CATEGORY_CALL: return relative ? Flow::RelativeCall : Flow::AbsoluteCall;
  case ZYDIS_CATEGORY_RET: return Flow::Return;
  case ZYDIS_CATEGORY_COND_BR:
  case ZYDIS_CATEGORY_UNCOND_BR: return relative ? Flow::RelativeJump : Flow::AbsoluteJump;
  default: return Flow::Next;
  }
}

bool has_prefix(const ZydisDecodedInstruction& i, std::uint8_t byte) {
  return std::any_of(i.raw.prefixes, i.raw.prefixes + i.raw.prefix_count,
                     [byte](const auto& prefix) { return prefix.value == byte; });
}

// All of the escape opcodes (SDM vol. 2D, A.5): fcomi, fcmov, fisttp came with later instruction sets.
bool is_x87(const ZydisDecodedInstruction& i) {
  return i.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
         (i.opcode & 0xF8) == 0xD8;
}

bool has_base(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* operands, ZydisRegister base) {
  return std::any_of(operands, operands + i.operand_count, [base](const ZydisDecodedOperand& o) {
    return o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.base == base;
  });
}

// In any operand, hidden ones too.
bool uses(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* operands, ZydisRegister whole) {
  const auto part_of = [whole](ZydisRegister r) {
    return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r) == whole;
  };
  return std::any_of(operands, operands + i.operand_count, [&](const ZydisDecodedOperand& o) {
    return (o.type == ZYDIS_OPERAND_TYPE_REGISTER && part_of(o.reg.value)) ||
           (o.type == ZYDIS_OPERAND_TYPE_MEMORY && (part_of(o.mem.base) || part_of(o.mem.index)));
  });
}

} // namespace

std::expected<Instruction, Error> decode(Address at, std::span<const std::uint8_t> code) {
  ZydisDecodedInstruction raw;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  const std::size_t window = std::min(code.size(), kMaxInstructionBytes);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis_decoder(), code.data(), window, &raw, operands)))
    return failure(ErrorKind::NotABoundary, at, "the bytes here are no instruction");
  Instruction i;
  i.address = at;
  std::copy_n(code.begin(), raw.length, i.bytes.begin());
  i.length = raw.length;
  i.flow = flow_of(raw);
  i.hazard = hazard_of(raw, operands);
  i.repeats = (raw.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
  i.locked = (raw.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
  i.operand_size_prefix = has_prefix(raw, 0x66);
  i.repeat_prefix = has_prefix(raw, 0xF2) || has_prefix(raw, 0xF3);
  i.x87 = is_x87(raw);
  i.uses_stack_pointer = uses(raw, operands, ZYDIS_REGISTER_RSP);
  i.eip_relative = has_base(raw, operands, ZYDIS_REGISTER_EIP);
  i.rip_relative = i.eip_relative || has_base(raw, operands, ZYDIS_REGISTER_RIP);
  i.displacement_offset = i.rip_relative ? raw.raw.disp.offset : std::uint8_t{0};
  i.mnemonic = static_cast<std::uint16_t>(raw.mnemonic);
  return i;
}

std::vector<bool> instruction_boundaries(std::span<const std::uint8_t> code) {
  std::vector<bool> starts(code.size(), false);
  ZydisDecodedInstruction raw;
  for (std::size_t at = 0; at < code.size(); at += raw.length) {
    const std::size_t window = std::min(code.size() - at, kMaxInstructionBytes);
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeInstruction(&zydis_decoder(), nullptr, code.data() + at, window, &raw)))
      break;
    starts[at] = true;
  }
  return starts;
}

std::string_view mnemonic_name(const Instruction& instruction) {
  const char* text = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(instruction.mnemonic));
  return text != nullptr ? text : "?";
}

std::string_view reason(StepHazard hazard) noexcept {
  switch (hazard) {
  case StepHazard::None: return "can be stepped";
  case StepHazard::TouchesTrapFlag: return "reads or writes the trap flag that stepping uses";
  case StepHazard::PostponesTrap: return "postpones the debug trap past the next instruction";
  case StepHazard::EntersKernel: return "enters the kernel, which would see the slot's address";
  case StepHazard::RaisesTrap: return "raises a trap of the program's own";
  case StepHazard::Privileged: return "is privileged";
  case StepHazard::Transactional: return "belongs to a transaction, which a trap aborts";
  case StepHazard::FarTransfer: return "changes the code segment";
  case StepHazard::ChangesSegmentBase: return "moves the thread-local storage the handler stands on";
  }
  return "?";
}

std::string disassemble(const Instruction& instruction) {
  ZydisDisassembledInstruction text;
  if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, value(instruction.address),
                                          instruction.bytes.data(), instruction.length, &text)))
    return "(bad)";
  return text.text;
}

} // namespace proberace
