// Every instruction of every function of a loaded object.
#pragma once

#include "harness/probe/target.h"

namespace proberace {

struct CodePoint {
  Address address;
  std::string function; // "function at 0x..." where it has no symbol
};

// Of the object that `inside` lies in, sorted by address; of overlapping functions each instruction once.
// BadInput if no file is mapped there.
std::expected<std::vector<CodePoint>, Error> all_instructions(const Target& target, Address inside);

} // namespace proberace
