#include "harness/code/jump_tables.h"

#include "harness/code/zydis_decoder.h"

#include <algorithm>
#include <ranges>

namespace proberace {

namespace {

constexpr std::size_t kNear = 24; // instructions between a comparison or a load and the jump

struct Decoded {
  std::uint64_t address = 0;
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  bool is(ZydisMnemonic m) const { return instruction.mnemonic == m; }
  // A register's 64-bit whole; ZYDIS_REGISTER_NONE if the operand is none.
  ZydisRegister reg(std::size_t operand) const {
    return operand < instruction.operand_count && operands[operand].type == ZYDIS_OPERAND_TYPE_REGISTER
               ? ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operands[operand].reg.value)
               : ZYDIS_REGISTER_NONE;
  }
  const ZydisDecodedOperandMem* memory() const {
    for (std::size_t i = 0; i < instruction.operand_count_visible; ++i)
      if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
        return &operands[i].mem;
    return nullptr;
  }
  // The immediate operand, of the operation's width.
  std::optional<std::uint64_t> immediate() const {
    const unsigned width = instruction.operand_width;
    for (std::size_t i = 0; i < instruction.operand_count_visible; ++i)
      if (operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return width < 64 ? operands[i].imm.value.u & ((std::uint64_t{1} << width) - 1)
                          : operands[i].imm.value.u;
    return std::nullopt;
  }
};

std::optional<Decoded> decoded(const CodeBytes& code) {
  Decoded d;
  d.address = code.address;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis_decoder(), code.bytes.data(), code.bytes.size(),
                                           &d.instruction, d.operands)))
    return std::nullopt;
  return d;
}

// `lea table(%rip), register`
std::optional<std::uint64_t> table_address(const Decoded& d) {
  const ZydisDecodedOperandMem* const m = d.memory();
  if (!d.is(ZYDIS_MNEMONIC_LEA) || m == nullptr || m->base != ZYDIS_REGISTER_RIP)
    return std::nullopt;
  return d.address + d.instruction.length + static_cast<std::uint64_t>(m->disp.value);
}

// The size of the entries that the instruction may read from a table; 0 if it reads none.
std::size_t entry_bytes(const Decoded& d, bool is_the_jump) {
  const ZydisDecodedOperandMem* const m = d.memory();
  if (m == nullptr || m->index == ZYDIS_REGISTER_NONE || m->segment == ZYDIS_REGISTER_FS ||
      m->segment == ZYDIS_REGISTER_GS)
    return 0;
  const bool loads = d.is(ZYDIS_MNEMONIC_MOV) && d.reg(0) != ZYDIS_REGISTER_NONE;
  if (m->scale == 8)
    return is_the_jump || (loads && d.instruction.operand_width == 64) ? 8 : 0;
  if (m->scale == 4)
    return d.is(ZYDIS_MNEMONIC_MOVSXD) ? 4 : 0;
  // Without optimisation the index has been scaled before.
  return m->scale == 1 && (d.is(ZYDIS_MNEMONIC_MOVSXD) || (loads && d.instruction.operand_width == 32)) ? 4
                                                                                                        : 0;
}

bool is_unsigned_branch(const Decoded& d) {
  return d.is(ZYDIS_MNEMONIC_JNBE) || d.is(ZYDIS_MNEMONIC_JBE) || d.is(ZYDIS_MNEMONIC_JNB) ||
         d.is(ZYDIS_MNEMONIC_JB);
}

// The number of entries, by the nearest mask of the index, or by the comparison before a branch around the jump.
std::optional<std::size_t> entries_before(std::span<const Decoded> backwards) {
  bool guarded = false;
  for (const Decoded& d : backwards.subspan(1) | std::views::take(kNear)) {
    guarded = guarded || is_unsigned_branch(d);
    const bool limits = d.is(ZYDIS_MNEMONIC_AND) || (guarded && d.is(ZYDIS_MNEMONIC_CMP));
    const auto immediate = limits ? d.immediate() : std::nullopt;
    constexpr std::size_t kMostEntries = 4096; // a larger number is no index
    if (immediate && *immediate < kMostEntries)
      return static_cast<std::size_t>(*immediate) + 1;
  }
  return std::nullopt;
}

// The distances of most tables are from the table. Others add them to an address of the code's: the one that
// was loaded into a register which the addition before the jump has and the reader has not.
std::optional<std::uint64_t> base_of(std::span<const Decoded> backwards, const Decoded& reader) {
  for (const Decoded& add : backwards.subspan(1)) {
    if (&add == &reader)
      return std::nullopt;
    if (!add.is(ZYDIS_MNEMONIC_ADD))
      continue;
    const ZydisRegister table = reader.memory()->base;
    if (add.reg(0) == table || add.reg(1) == table)
      return std::nullopt;
    for (const Decoded& d : backwards)
      if (const auto address = table_address(d);
          address && d.reg(0) != reader.reg(0) && (d.reg(0) == add.reg(0) || d.reg(0) == add.reg(1)))
        return address;
  }
  return std::nullopt;
}

} // namespace

std::vector<JumpTable> possible_tables(std::span<const CodeBytes> before) {
  std::vector<Decoded> backwards;
  for (const CodeBytes& code : before | std::views::reverse)
    if (auto d = decoded(code))
      backwards.push_back(*d);
  const auto near = backwards | std::views::take(kNear);
  const auto reader = std::ranges::find_if(near, [&](const Decoded& d) {
    return entry_bytes(d, &d == backwards.data()) != 0 || (&d == backwards.data() && d.memory() != nullptr);
  });
  if (reader == near.end() || entry_bytes(*reader, reader == near.begin()) == 0)
    return {};
  const ZydisDecodedOperandMem& m = *reader->memory();
  JumpTable table{0, entry_bytes(*reader, reader == near.begin()), 0, entries_before(backwards)};
  const auto displacement = static_cast<std::uint64_t>(m.disp.value);
  if (m.base == ZYDIS_REGISTER_NONE) {
    table.address = displacement;
    return {table};
  }
  // The table's address is loaded into the base register, perhaps far above, or copied into it.
  const auto base = base_of(backwards, *reader);
  std::vector<JumpTable> same_register, others;
  for (const Decoded& d : backwards)
    if (const auto address = table_address(d)) {
      table.address = *address + displacement;
      table.base = base.value_or(table.address);
      const bool same = d.reg(0) == m.base || (m.scale == 1 && d.reg(0) == m.index);
      (same ? same_register : others).push_back(table);
    }
  same_register.insert(same_register.end(), others.begin(), others.end());
  return same_register;
}

} // namespace proberace
