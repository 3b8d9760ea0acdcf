// Which version of an object's interface a symbol belongs to: .gnu.version and .gnu.version_d (LSB 5.0, 10.7
// "Symbol Versioning"), or what stands behind an @ in the symbol's name. Private to this folder.
#pragma once

#include "harness/code/elf_tables.h"

#include <map>

namespace proberace {

struct VersionedName {
  std::string_view name;
  std::string_view version; // "" if it has none
};

// Of "memcpy@GLIBC_2.2.5" or "memcpy@@GLIBC_2.14".
VersionedName versioned(std::string_view name);

class SymbolVersions {
public:
  // `table` is one of the sections.
  SymbolVersions(const Bytes& file, const Elf64_Shdr& table, const Sections& sections);

  // "" if it has none.
  std::string_view of(std::uint64_t symbol) const;

private:
  const Bytes& file_;
  std::uint64_t numbers_ = 0, count_ = 0; // .gnu.version: its offset and entries
  std::map<unsigned, std::string_view> names_{};
};

} // namespace proberace
