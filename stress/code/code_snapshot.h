// The code of the process as it stands: bytes of a text and every executable mapping, to compare before and
// after.
#pragma once

#include "harness/base/address_space.h"
#include "stress/code/text.h"

namespace proberace {

struct CodeSnapshot {
  std::vector<std::uint8_t> bytes; // of the text
  std::vector<Mapping> executable; // all but the kernel's own, whose names are in brackets
  std::size_t descriptors = 0;
  std::vector<std::uint8_t> trap_action; // of SIGTRAP

  static CodeSnapshot of(const Text& text);
  // "" if equal, else one line that says what differs.
  std::string difference(const CodeSnapshot& later) const;
};

} // namespace proberace
