// The process as it stands, to compare before and after: bytes of a text, every mapping that is executable, every
// mapping of a file, of which an armer may have put one aside, descriptors, threads, and each signal's action.
#pragma once

#include "harness/base/address_space.h"
#include "harness/base/signal_action.h"
#include "stress/code/text.h"

namespace proberace {

struct CodeSnapshot {
  std::vector<std::uint8_t> bytes; // of the text
  std::vector<Mapping> mappings;   // of the kernel's own, whose names are in brackets, the vDSO alone
  std::int64_t private_pages = 0;  // of the text
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::vector<SignalAction> actions; // of signal n - 1

  static CodeSnapshot of(const Text& text);
  // "" if equal, else one line that says what differs. Says nothing of private pages, which some strategies leave.
  std::string difference(const CodeSnapshot& later) const;
};

} // namespace proberace
