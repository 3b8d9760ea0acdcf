// The tables of an ELF file that name code. Private to this folder.
#pragma once

#include "harness/code/elf_functions.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <span>

namespace proberace {

// A bounds-checked view of the file: a damaged file yields zeros and empty strings, never a wild read.
class Bytes {
public:
  explicit Bytes(std::span<const std::uint8_t> all) : all_(all) {}

  template <typename T> T at(std::uint64_t offset) const {
    T object{};
    if (offset <= all_.size() && sizeof(T) <= all_.size() - offset)
      std::memcpy(&object, all_.data() + offset, sizeof(T));
    return object;
  }
  // Up to the zero byte, or the file's end.
  std::string_view text(std::uint64_t offset) const {
    if (offset >= all_.size())
      return {};
    const auto* const begin = reinterpret_cast<const char*>(all_.data() + offset);
    return {begin, ::strnlen(begin, all_.size() - offset)};
  }
  // An unsigned LEB128 (DWARF 5, 7.6); moves offset past it.
  std::uint64_t uleb(std::uint64_t& offset) const {
    std::uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = at<std::uint8_t>(offset++);
      result |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80U) == 0)
        break;
    }
    return result;
  }
  std::size_t size() const { return all_.size(); }
  // Shorter where the file ends.
  std::span<const std::uint8_t> part(std::uint64_t offset, std::size_t bytes) const {
    return offset < all_.size() ? all_.subspan(offset, std::min(bytes, all_.size() - offset))
                                : std::span<const std::uint8_t>{};
  }

private:
  std::span<const std::uint8_t> all_;
};

struct Sections {
  std::vector<Elf64_Shdr> all;
  std::uint64_t names = 0; // the offset of their names

  bool executable(std::uint64_t index) const {
    return index < all.size() && (all[index].sh_flags & SHF_EXECINSTR) != 0;
  }
};

// Appends what a table says to the image. `sections` holds what the table is linked to.
void add_symbols(const Bytes& file, const Elf64_Shdr& table, const Sections& sections, ElfImage& image);
void add_slots(const Bytes& file, const Elf64_Shdr& table, const Sections& sections, ElfImage& image);
void add_fdes(const Bytes& file, const Elf64_Shdr& section, ElfImage& image);

} // namespace proberace
