// The sixteen conditions of jcc, setcc and cmovcc, by the low four bits of the opcode (SDM vol. 2D, table
// B-10).
#pragma once

#include <cstdint>

namespace proberace {

// signal-safe.
constexpr bool condition_holds(std::uint8_t condition, std::uint64_t flags) noexcept {
  const auto flag = [flags](int bit) { return (flags >> bit & 1) != 0; };
  const bool carry = flag(0), parity = flag(2), zero = flag(6), sign = flag(7), overflow = flag(11);
  const bool plain[] = {
      overflow, carry, zero, carry || zero, sign, parity, sign != overflow, zero || sign != overflow};
  return plain[condition >> 1 & 7] != ((condition & 1) != 0); // the odd ones are the negations
}

} // namespace proberace
