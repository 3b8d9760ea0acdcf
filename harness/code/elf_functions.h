// The functions an ELF file knows of, symbols with a size and .eh_frame's FDEs, and what of it is loaded.
#pragma once

#include "harness/base/error.h"

#include <string>
#include <vector>

namespace proberace {

struct ElfFunction {
  std::uint64_t start = 0; // virtual address in the file's own numbering
  std::uint64_t bytes = 0;
  std::string name; // "" from an FDE
};

// A PT_LOAD program header's fields, as the file has them.
struct ElfSegment {
  std::uint64_t address = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t file_offset = 0;
  std::uint64_t file_bytes = 0;
  int protection = 0; // PROT_READ and so on
};

struct ElfImage {
  std::vector<ElfSegment> segments;     // in the file's order
  std::vector<ElfFunction> functions;   // sorted by start; symbols before FDEs at one start
  std::uint64_t first_load_address = 0; // p_vaddr of the first PT_LOAD, rounded down to a page
};

// BadInput if the file is no 64-bit x86 ELF file or is damaged.
std::expected<ElfImage, Error> read_elf_functions(const std::string& path);

} // namespace proberace
