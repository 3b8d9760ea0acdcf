#include "harness/code/elf_tables.h"

#include "harness/code/elf_landing_pads.h"
#include "harness/code/elf_versions.h"

#include <sys/mman.h>

namespace proberace {

namespace {

// A function or ifunc, or a name without a type that stands in code.
bool names_code(const Elf64_Sym& symbol, const Sections& sections) {
  const unsigned type = ELF64_ST_TYPE(symbol.st_info);
  if (symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0)
    return false;
  return type == STT_FUNC || type == STT_GNU_IFUNC ||
         (type == STT_NOTYPE && sections.executable(symbol.st_shndx));
}

// How a CIE's FDEs encode their addresses and those of their language-specific data: the bytes behind 'R' and
// 'L' in its augmentation (LSB 5.0, 10.6.1.1.1).
struct CieEncodings {
  std::uint8_t fde = 0; // absolute
  std::uint8_t lsda = kEncodingOmitted;
};

CieEncodings encodings_of(const Bytes& file, std::uint64_t cie) {
  CieEncodings found;
  std::uint64_t at = cie + 8; // past length and CIE id
  at += 1;                    // version
  const std::string_view augmentation = file.text(at);
  at += augmentation.size() + 1;
  file.uleb(at); // code alignment
  file.uleb(at); // data alignment (signed, same length)
  file.uleb(at); // return address register
  if (augmentation.empty() || augmentation[0] != 'z')
    return found;
  file.uleb(at); // augmentation length
  for (const char letter : augmentation.substr(1)) {
    if (letter == 'R') {
      found.fde = file.at<std::uint8_t>(at++);
    } else if (letter == 'L') {
      found.lsda = file.at<std::uint8_t>(at++);
    } else if (letter == 'P') {
      const auto encoding = file.at<std::uint8_t>(at++);
      encoded_pointer(file, at, 0, encoding);
    }
  }
  return found;
}

void add_entry(std::uint64_t address, ElfImage& image) {
  const ElfSegment* const segment = image.segment_of(address);
  if (segment != nullptr && (segment->protection & PROT_EXEC) != 0)
    image.entries.push_back(address);
}

} // namespace

void add_symbols(const Bytes& file, const Elf64_Shdr& table, const Sections& sections, ElfImage& image) {
  if (table.sh_entsize != sizeof(Elf64_Sym) || table.sh_size > file.size() ||
      table.sh_link >= sections.all.size())
    return;
  const std::uint64_t strings = sections.all[table.sh_link].sh_offset;
  const SymbolVersions versions(file, table, sections);
  for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
    const auto symbol = file.at<Elf64_Sym>(table.sh_offset + at);
    if (!names_code(symbol, sections))
      continue;
    const std::string_view name = file.text(strings + symbol.st_name);
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if (type != STT_NOTYPE && symbol.st_size > 0)
      image.functions.push_back({symbol.st_value, symbol.st_size, std::string(name)});
    const VersionedName named = versioned(name);
    image.symbols.push_back({named.name, symbol.st_value, symbol.st_size, type == STT_GNU_IFUNC,
                             named.version.empty() ? versions.of(at / sizeof(Elf64_Sym)) : named.version});
  }
}

void add_slots(const Bytes& file, const Elf64_Shdr& table, const Sections& sections, ElfImage& image) {
  if (table.sh_entsize != sizeof(Elf64_Rela) || table.sh_size > file.size() ||
      (table.sh_flags & SHF_ALLOC) == 0)
    return;
  const Elf64_Shdr symbols = table.sh_link < sections.all.size() ? sections.all[table.sh_link] : Elf64_Shdr{};
  const Elf64_Shdr strings =
      symbols.sh_link < sections.all.size() ? sections.all[symbols.sh_link] : Elf64_Shdr{};
  for (std::uint64_t at = 0; at + sizeof(Elf64_Rela) <= table.sh_size; at += sizeof(Elf64_Rela)) {
    const auto relocation = file.at<Elf64_Rela>(table.sh_offset + at);
    switch (ELF64_R_TYPE(relocation.r_info)) {
    case R_X86_64_RELATIVE: add_entry(static_cast<std::uint64_t>(relocation.r_addend), image); break;
    case R_X86_64_IRELATIVE:
      image.slots.push_back({relocation.r_offset, static_cast<std::uint64_t>(relocation.r_addend), {}});
      break;
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT: {
      const auto symbol =
          file.at<Elf64_Sym>(symbols.sh_offset + ELF64_R_SYM(relocation.r_info) * sizeof(Elf64_Sym));
      image.slots.push_back({relocation.r_offset, 0, file.text(strings.sh_offset + symbol.st_name)});
      // Until it is filled it leads to the second instruction of its entry of the linkage table.
      if (const ElfSegment* const s = image.segment_of(relocation.r_offset); s != nullptr)
        add_entry(file.at<std::uint64_t>(s->file_offset + (relocation.r_offset - s->address)), image);
      break;
    }
    default: break;
    }
  }
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
    const bool is_fde = cie_distance != 0 && cie_distance <= at + 4;
    const CieEncodings encodings = is_fde ? encodings_of(file, at + 4 - cie_distance) : CieEncodings{};
    if (encodings.fde == kPcRelativeSigned4) {
      const std::uint64_t field = section.sh_addr + (at + 8 - section.sh_offset);
      const auto begin = field + static_cast<std::uint64_t>(std::int64_t{file.at<std::int32_t>(at + 8)});
      const auto bytes = file.at<std::uint32_t>(at + 12);
      if (bytes > 0)
        image.functions.push_back({begin, bytes, {}});
      if (encodings.lsda != kEncodingOmitted) {
        std::uint64_t data = at + 16;
        file.uleb(data); // augmentation length
        const std::uint64_t address = section.sh_addr + (data - section.sh_offset);
        if (const std::uint64_t lsda = encoded_pointer(file, data, address, encodings.lsda); lsda != 0)
          add_landing_pads(file, lsda, begin, image);
      }
    }
    at += length + 4;
  }
}

} // namespace proberace
