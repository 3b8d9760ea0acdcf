#include "harness/code/elf_functions.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <span>
#include <sys/mman.h>

namespace proberace {

namespace {

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
  std::string text(std::uint64_t offset) const {
    std::string s;
    while (offset < all_.size() && all_[offset] != 0)
      s.push_back(static_cast<char>(all_[offset++]));
    return s;
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

private:
  std::span<const std::uint8_t> all_;
};

void add_symbols(const Bytes& file, const Elf64_Shdr& table, std::uint64_t strings, ElfImage& image) {
  if (table.sh_entsize != sizeof(Elf64_Sym) || table.sh_size > file.size())
    return;
  for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
    const auto symbol = file.at<Elf64_Sym>(table.sh_offset + at);
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if ((type == STT_FUNC || type == STT_GNU_IFUNC) && symbol.st_size > 0 && symbol.st_shndx != SHN_UNDEF)
      image.functions.push_back({symbol.st_value, symbol.st_size, file.text(strings + symbol.st_name)});
  }
}

// How a CIE's FDEs encode their addresses: the byte behind 'R' in its augmentation (LSB 5.0, 10.6.1.1.1).
std::uint8_t fde_encoding(const Bytes& file, std::uint64_t cie) {
  constexpr std::uint8_t kAbsolute = 0;
  std::uint64_t at = cie + 8; // past length and CIE id
  at += 1;                    // version
  const std::string augmentation = file.text(at);
  at += augmentation.size() + 1;
  file.uleb(at); // code alignment
  file.uleb(at); // data alignment (signed, same length)
  file.uleb(at); // return address register
  if (augmentation.empty() || augmentation[0] != 'z')
    return kAbsolute;
  file.uleb(at); // augmentation length
  for (const char letter : augmentation.substr(1)) {
    if (letter == 'R')
      return file.at<std::uint8_t>(at);
    if (letter == 'L')
      at += 1;
    else if (letter == 'P') {
      const auto encoding = file.at<std::uint8_t>(at);
      at +=
          (encoding & 0x07U) == 0x03U ? 5 : 9; // the encoding byte, then udata4/sdata4 or an absolute pointer
    }
  }
  return kAbsolute;
}

void add_fdes(const Bytes& file, const Elf64_Shdr& section, ElfImage& image) {
  constexpr std::uint8_t kPcRelativeSigned4 =
      0x1B; // DW_EH_PE_pcrel | DW_EH_PE_sdata4: what every x86-64 tool emits
  const std::uint64_t end = std::min<std::uint64_t>(section.sh_offset + section.sh_size, file.size());
  for (std::uint64_t at = section.sh_offset; at + 8 < end;) {
    const auto length = file.at<std::uint32_t>(at);
    if (length == 0 || length == 0xFFFFFFFFU)
      break;
    const auto cie_distance = file.at<std::uint32_t>(at + 4);
    if (cie_distance != 0 && cie_distance <= at + 4 &&
        fde_encoding(file, at + 4 - cie_distance) == kPcRelativeSigned4) {
      const std::uint64_t field = section.sh_addr + (at + 8 - section.sh_offset);
      const auto begin = field + static_cast<std::uint64_t>(std::int64_t{file.at<std::int32_t>(at + 8)});
      const auto bytes = file.at<std::uint32_t>(at + 12);
      if (bytes > 0)
        image.functions.push_back({begin, bytes, {}});
    }
    at += length + 4;
  }
}

int protection(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) | ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

void add_sections(const Bytes& file, const Elf64_Ehdr& header, ElfImage& image) {
  const auto section = [&](std::uint64_t index) {
    return file.at<Elf64_Shdr>(header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  const std::uint64_t names = section(header.e_shstrndx).sh_offset;
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr s = section(i);
    if (s.sh_type == SHT_SYMTAB || s.sh_type == SHT_DYNSYM)
      add_symbols(file, s, section(s.sh_link).sh_offset, image);
    else if (s.sh_type != SHT_NOBITS && file.text(names + s.sh_name) == ".eh_frame")
      add_fdes(file, s, image);
  }
}

} // namespace

std::expected<ElfImage, Error> read_elf_functions(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Elf64_Ehdr header{}; // first: what is no ELF file may be large
  in.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!in || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_machine != EM_X86_64)
    return bad_input("{} is no x86-64 ELF file", path);
  in.seekg(0);
  const std::vector<std::uint8_t> content{std::istreambuf_iterator<char>(in),
                                          std::istreambuf_iterator<char>()};
  const Bytes file(content);
  ElfImage image;
  for (std::uint64_t i = 0; i < header.e_phnum; ++i)
    if (const auto s = file.at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr)); s.p_type == PT_LOAD)
      image.segments.push_back({s.p_vaddr, s.p_memsz, s.p_offset, s.p_filesz, protection(s)});
  if (!image.segments.empty())
    image.first_load_address = image.segments.front().address & ~std::uint64_t{kPageBytes - 1};
  add_sections(file, header, image);
  std::stable_sort(image.functions.begin(), image.functions.end(),
                   [](const ElfFunction& a, const ElfFunction& b) { return a.start < b.start; });
  return image;
}

} // namespace proberace
