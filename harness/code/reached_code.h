// The instructions of an ELF file that control is seen to reach: recursive descent from where functions begin,
// where the file's data points into code, and where its exceptions land, through every direct branch and
// every jump table of a known form (jump_tables.h). Data between functions, or inside one, is not decoded; nor
// is code that only a computed address leads to.
#pragma once

#include "harness/code/elf_functions.h"

#include <cstdint>
#include <span>
#include <vector>

namespace proberace {

// Addresses are in the file's own numbering. Immutable once made: thread-safe.
class ReachedCode {
public:
  // Reads the file only here. 0.1 to 0.3 s per megabyte of code.
  ReachedCode(std::span<const std::uint8_t> file, const ElfImage& image);

  // True if an instruction begins there that is part of no other one. Code that jumps behind a prefix has
  // instructions that overlap; a byte written for the inner one would change the outer one.
  bool begins_at(std::uint64_t address) const;

private:
  friend class Descent;

  struct Area {
    std::uint64_t start = 0;
    std::vector<bool> begins; // by byte: the first of an instruction
    std::vector<bool> inside; // one of its others
  };
  std::vector<Area> areas_; // the executable segments
};

} // namespace proberace
