// What `proberace isa` tries before it draws at random: every mnemonic with every kind of operand.
//
// Idea: a cell is a mnemonic and a kind of operand, made of the forms that can be encoded like that. Cases numbered
// from kAimed on take the cells one after the other, so that 10,000 cases miss few of them, where random ones miss
// those of which there are few (a call through RIP-relative memory is one in some 20,000).
#pragma once

#include "harness/base/enumeration.h"
#include "stress/transparency/isa/isa_case.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace proberace {

enum class OperandKind : std::uint8_t {
  Registers,   // none in memory
  Memory,      // by general registers
  RipRelative, // by rip
  StackBased,  // by rsp
  StackEdge, // by rsp, of an instruction that moves it, with displacements near zero and at the ends of one byte
  StackEnd, // by rsp without a word, as push and ret have it; rsp is at the end of its mapping
  PageEdge, // across two pages
  Segment,  // with a gs prefix; fs is where the harness has its own memory
  Prefix,   // with a prefix in front that need not be there
  Quotient, // of a division by a register, whose quotient is at its limits
};
inline constexpr auto kOperandKinds = enumeration<Named<OperandKind>>({
    {OperandKind::Registers, "registers"},
    {OperandKind::Memory, "memory"},
    {OperandKind::RipRelative, "rip-relative"},
    {OperandKind::StackBased, "rsp-based"},
    {OperandKind::StackEdge, "rsp-edge"},
    {OperandKind::StackEnd, "rsp-end"},
    {OperandKind::PageEdge, "page-edge"},
    {OperandKind::Segment, "segment"},
    {OperandKind::Prefix, "prefix"},
    {OperandKind::Quotient, "quotient"},
});
constexpr const auto& rows_of(OperandKind) noexcept {
  return kOperandKinds;
}

struct OperandCell {
  std::string name; // "mov/rip-relative"
  OperandKind kind;
  bool integer;                     // of which list of mnemonics
  std::uint32_t mnemonic;           // its index there
  std::vector<std::uint32_t> forms; // indices into its forms
  std::optional<std::int32_t> displacement{};
  std::optional<std::uint32_t> below_end{}; // the stack pointer, in bytes

  OperandCell variant(const std::string& suffix) const {
    OperandCell other = *this;
    other.name += suffix;
    return other;
  }
};

// All of them, sorted by list, mnemonic and kind. Made once, in some 0.2 s.
std::span<const OperandCell> operand_cells();

// The first number of a case that is aimed at a cell. The next operand_cells().size() numbers take each cell once, so do
// those that follow.
inline constexpr std::uint64_t kAimed = std::uint64_t{1} << 40;

// Null for a case that is drawn at random.
const OperandCell* cell_of(std::uint64_t number);
// Makes a random case one of the cell's.
void aim(IsaCase& c, const OperandCell& cell);

} // namespace proberace
