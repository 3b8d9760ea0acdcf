#include "stress/transparency/isa/operand_cells.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

// How OperandChoice's number of a memory operand is made (forms.cpp, shape_memory): shape + 8 * base.
constexpr std::uint32_t kMemoryShapes = 8, kWithBase = 1, kByRip = 2, kRsp = 4, kRbx = 3;

void aim_operands(OperandChoice& choice, OperandKind kind) {
  choice.segment = kind == OperandKind::Segment ? 2 : 0; // gs: fs is where the harness has its own memory
  choice.redundant = kind == OperandKind::Prefix ? std::max(1U, choice.redundant) : 0;
  for (std::uint32_t& n : choice.operands) { // which of them is in memory depends on the form
    const std::uint32_t others = n / (kMemoryShapes * 16) * (kMemoryShapes * 16);
    const std::uint32_t base = n / kMemoryShapes % 16 == kRsp ? kRbx : n / kMemoryShapes % 16;
    switch (kind) {
    case OperandKind::RipRelative: n = others + kMemoryShapes * base + kByRip; break;
    case OperandKind::StackEdge:
    case OperandKind::StackEnd:
    case OperandKind::StackBased: n = others + kMemoryShapes * kRsp + kWithBase; break;
    case OperandKind::Memory:
    case OperandKind::PageEdge:
    case OperandKind::Segment: n = others + kMemoryShapes * base + kWithBase; break;
    case OperandKind::Quotient: n = others + kRbx; break;
    case OperandKind::Registers:
    case OperandKind::Prefix: break;
    }
  }
}

// Divisions are tried more often: there are many widths and limits.
constexpr std::size_t kQuotients = 24;
constexpr std::uint32_t kBelowEnd[] = {0, 4, 8, 16};
constexpr std::int32_t kDisplacements[] = {-0x80, -0x7C, -0x78, -8, 0, 0x70, 0x74, 0x78, 0x7C, 0x7F};

class Decoder {
public:
  Decoder() { ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64); }

  bool is(OperandKind kind, const std::vector<std::uint8_t>& code,
          const std::vector<std::uint8_t>& plain) const {
    ZydisDecodedInstruction i;
    ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, code.data(), code.size(), &i, o)))
      return false;
    const std::span visible(o, i.operand_count_visible);
    const auto memory = std::ranges::find(visible, ZYDIS_OPERAND_TYPE_MEMORY, &ZydisDecodedOperand::type);
    if (kind == OperandKind::Prefix)
      return code.size() > plain.size();
    // Those that restore a frame get another stack pointer (prepared_case.cpp).
    const bool frames = i.mnemonic == ZYDIS_MNEMONIC_LEAVE || i.mnemonic == ZYDIS_MNEMONIC_ENTER;
    if (kind == OperandKind::StackEnd)
      return !frames && std::ranges::any_of(o, o + i.operand_count, [](const ZydisDecodedOperand& operand) {
        return operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
               operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP;
      });
    const bool divides = i.mnemonic == ZYDIS_MNEMONIC_DIV || i.mnemonic == ZYDIS_MNEMONIC_IDIV;
    if (memory == visible.end())
      return kind == OperandKind::Registers || (divides && kind == OperandKind::Quotient);
    const bool by_rip = memory->mem.base == ZYDIS_REGISTER_RIP || memory->mem.base == ZYDIS_REGISTER_EIP;
    const bool by_rsp = memory->mem.base == ZYDIS_REGISTER_RSP || memory->mem.base == ZYDIS_REGISTER_ESP;
    const bool segment = (i.attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS)) != 0;
    switch (kind) {
    case OperandKind::RipRelative: return by_rip;
    case OperandKind::StackBased: return by_rsp;
    case OperandKind::StackEdge:
      return by_rsp && i.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR &&
             std::ranges::any_of(o, o + i.operand_count, [](const ZydisDecodedOperand& operand) {
               return operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
                      operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                      operand.reg.value == ZYDIS_REGISTER_RSP &&
                      (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
             });
    case OperandKind::Segment: return segment;
    case OperandKind::Memory: return !by_rip && !by_rsp;
    case OperandKind::PageEdge:
      return !by_rip && !by_rsp && memory->mem.type == ZYDIS_MEMOP_TYPE_MEM && memory->size > 8;
    default: return false;
    }
  }

  unsigned address_bits(const std::vector<std::uint8_t>& code) const {
    ZydisDecodedInstruction i;
    ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, code.data(), code.size(), &i, o)) ? i.address_width
                                                                                            : 0;
  }

private:
  ZydisDecoder decoder_;
};

std::vector<OperandCell> make_cells() {
  const FormCatalogue& catalogue = FormCatalogue::instance();
  const Decoder decoder;
  std::vector<OperandCell> cells;
  for (const bool integer : {true, false}) {
    const auto mnemonics = integer ? catalogue.integer() : catalogue.other();
    for (std::uint32_t m = 0; m < mnemonics.size(); ++m)
      for (const auto& row : kOperandKinds) {
        OperandChoice choice;
        choice.displacement = 0x10;
        aim_operands(choice, row.value);
        // movsd is a string instruction, and one of vectors.
        const bool two = !integer && std::ranges::count(catalogue.integer(), mnemonics[m].name,
                                                        &FormCatalogue::Mnemonic::name) != 0;
        OperandCell cell{fmt::format("{}{}/{}", mnemonics[m].name, two ? "(other)" : "", row.name),
                         row.value,
                         integer,
                         m,
                         {}};
        std::vector<std::uint32_t> others; // with addresses of 32 bits, which reach half of the places
        for (std::uint32_t f = 0; f < mnemonics[m].forms.size(); ++f) {
          const auto plain = encode(*mnemonics[m].forms[f], OperandChoice{});
          const auto code = encode(*mnemonics[m].forms[f], choice);
          if (plain && code && decoder.is(row.value, *code, *plain))
            (decoder.address_bits(*code) == 64 ? cell.forms : others).push_back(f);
        }
        // Counts and branches with addresses of 32 bits, too.
        if (row.value == OperandKind::Registers && !cell.forms.empty() && !others.empty()) {
          cells.push_back(cell.variant("-67"));
          cells.back().forms = others;
        }
        if (cell.forms.empty())
          cell.forms = std::move(others);
        if (cell.forms.empty())
          continue;
        if (row.value == OperandKind::Quotient)
          for (std::size_t n = 1; n <= kQuotients; ++n)
            cells.push_back(cell.variant(fmt::format("-{}", n)));
        else if (row.value == OperandKind::StackEdge)
          for (const std::int32_t displacement : kDisplacements) {
            cells.push_back(cell.variant(fmt::format("{:+}", displacement)));
            cells.back().displacement = displacement;
          }
        else if (row.value == OperandKind::StackEnd)
          for (const std::uint32_t bytes : kBelowEnd) {
            cells.push_back(cell.variant(fmt::format("-{}", bytes)));
            cells.back().displacement = 0;
            cells.back().below_end = bytes;
          }
        else
          cells.push_back(std::move(cell));
      }
  }
  return cells;
}

} // namespace

std::span<const OperandCell> operand_cells() {
  static const std::vector<OperandCell> cells = make_cells();
  return cells;
}

const OperandCell* cell_of(std::uint64_t number) {
  if (number < kAimed)
    return nullptr;
  constexpr std::uint64_t kStride = 7919; // a prime: few cases, too, are of all kinds of mnemonics
  const auto cells = operand_cells();
  return &cells[(number - kAimed) % cells.size() * kStride % cells.size()];
}

void aim(IsaCase& c, const OperandCell& cell) {
  c.integer = cell.integer;
  c.mnemonic = cell.mnemonic;
  c.form = cell.forms[c.form % cell.forms.size()];
  aim_operands(c.operands, cell.kind);
  if (cell.displacement)
    c.operands.displacement = *cell.displacement;
  if (cell.below_end)
    c.stack = stack_choice_below_end(*cell.below_end);
  if (cell.kind == OperandKind::Quotient)
    c.status |= std::uint64_t{1} << 48;
  c.where.fill(cell.kind == OperandKind::PageEdge ? Where::AcrossPages : Where::Aligned);
}

} // namespace proberace
