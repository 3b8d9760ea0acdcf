// The code of the process as it stands, to compare before and after: bytes of a text, every mapping that is
// executable, and every mapping of a file, of which an armer may have put one aside.
#pragma once

#include "harness/base/address_space.h"
#include "stress/code/text.h"

namespace proberace {

struct CodeSnapshot {
  std::vector<std::uint8_t> bytes; // of the text
  std::vector<Mapping> mappings;   // without the kernel's own, whose names are in brackets
  std::size_t descriptors = 0;
  std::vector<std::uint8_t> trap_action; // of SIGTRAP

  static CodeSnapshot of(const Text& text);
  // "" if equal, else one line that says what differs.
  std::string difference(const CodeSnapshot& later) const;
};

} // namespace proberace
