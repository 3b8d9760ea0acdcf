// Every instruction of every function of a loaded object that can be probed: data in between is none.
#pragma once

#include "harness/code/target.h"

namespace proberace {

struct CodePoint {
  Address address;
  std::string function; // "function at 0x..." where it has no symbol
};

// Of the object that `inside` lies in, sorted by address; of overlapping functions each instruction once.
std::vector<CodePoint> all_instructions(const Target& target, Address inside);

// `count` of them, evenly spread; all if there are fewer.
std::vector<CodePoint> spread(const std::vector<CodePoint>& all, std::size_t count);

} // namespace proberace
