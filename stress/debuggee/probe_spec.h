// A probe as a user names it: LIBRARY:SYMBOL[+OFFSET], the library by the end of its path.
#pragma once

#include "harness/base/error.h"
#include "harness/code/decode.h"
#include "harness/code/target.h"

#include <string>

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
  ProbeSpec spec;
  Site site;
  Instruction instruction;
};

// Its place in a program whose libraries are loaded. BadInput (no such library or function), or the reason
// why no instruction there can be probed.
std::expected<ProbePlace, Error> locate(const ProbeSpec& spec, const Target& target);

} // namespace proberace
