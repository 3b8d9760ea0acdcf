// Jump tables as compilers make them of a `switch`: a jump through a register or memory, with the table's
// address and the number of its entries in the instructions before it. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace proberace {

// An instruction's address and bytes.
struct CodeBytes {
  std::uint64_t address = 0;
  std::span<const std::uint8_t> bytes;
};

struct JumpTable {
  std::uint64_t address = 0;
  std::size_t entry_bytes = 0;        // 4: a distance; 8: an address
  std::uint64_t base = 0;             // from here, if it is a distance
  std::optional<std::size_t> entries; // by the comparison that guards the jump
};

// The tables that the last instruction of `before` may jump through, the likeliest first. `before` are the
// function's instructions up to the jump, by address.
std::vector<JumpTable> possible_tables(std::span<const CodeBytes> before);

} // namespace proberace
