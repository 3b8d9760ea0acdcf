// The functions and names an ELF file knows of, and what of it is loaded.
#pragma once

#include "harness/base/error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace proberace {

struct ElfFunction {
  std::uint64_t start = 0; // virtual address in the file's own numbering
  std::uint64_t bytes = 0;
  std::string name; // "" from an FDE
  // Known by a name without a size, so its end is where the next function begins. It may be data.
  bool guessed_end = false;
};

// A name of code. Several may have one name (versions, static functions), and one may have several. Names are views
// into the bytes of the file, or of its debug file.
struct ElfSymbol {
  std::string_view name; // without a version
  std::uint64_t start = 0;
  std::uint64_t bytes = 0; // 0 if the file does not say
  bool indirect = false;   // STT_GNU_IFUNC: code that chooses the function
  std::string_view version{};
};

// A word that the dynamic linker fills with the address of the function it has chosen.
struct ElfSlot {
  std::uint64_t address = 0;
  std::uint64_t resolver = 0; // of R_X86_64_IRELATIVE, else 0
  std::string_view name;      // of R_X86_64_GLOB_DAT and R_X86_64_JUMP_SLOT, else ""
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
  std::string soname;                 // DT_SONAME, "" if it has none
  std::vector<ElfSegment> segments;   // in the file's order
  std::vector<ElfFunction> functions; // sorted by start; symbols before FDEs at one start
  std::vector<ElfSymbol> symbols;
  std::vector<ElfSlot> slots;
  // Code that data leads to: pointers that the loader relocates, landing pads of exceptions. Some may be data.
  std::vector<std::uint64_t> entries;
  bool relocates_text = false;              // DT_TEXTREL: code in memory differs from the file's
  std::shared_ptr<const void> debug_file{}; // holds the names that come from it

  // The one whose bytes in the file are loaded there; null if there is none.
  const ElfSegment* segment_of(std::uint64_t address) const {
    for (const ElfSegment& s : segments)
      if (s.address <= address && address - s.address < s.file_bytes)
        return &s;
    return nullptr;
  }
};

// The separate one of a file without a symbol table, if it can be found.
enum class DebugFile { Ignored, Read };

// Symbols with a size, .eh_frame's FDEs, and between those, symbols without a size. BadInput if it is no 64-bit x86
// ELF file or is damaged. `path` opens it.
std::expected<ElfImage, Error> read_elf_functions(std::span<const std::uint8_t> file, const std::string& path,
                                                  DebugFile debug_file = DebugFile::Ignored);
// Without symbols, slots and entries.
std::expected<ElfImage, Error> read_elf_functions(const std::string& path);

} // namespace proberace
