// A probe as a user names it: LIBRARY:SYMBOL[+OFFSET], the library by the end of its path. One name may have several
// places, and several names one place.
#pragma once

#include "harness/base/error.h"
#include "harness/code/decode.h"
#include "harness/code/target.h"

#include <span>
#include <string>
#include <vector>

namespace proberace {

struct ProbeSpec {
  std::string text; // as the user wrote it
  std::string library;
  std::string symbol;
  std::ptrdiff_t offset = 0; // bytes
};

// BadInput, saying what is expected.
std::expected<ProbeSpec, Error> parse_probe(const std::string& text);

struct ProbePlace {
  std::string names; // the probes that mean it, as the user wrote them
  Site site;
  Instruction instruction;
};

// Their places in a program whose libraries are loaded, each once. BadInput (no such library or function), or the
// reason why no instruction there can be probed.
std::expected<std::vector<ProbePlace>, Error> locate(std::span<const ProbeSpec> specs, const Target& target);

} // namespace proberace
