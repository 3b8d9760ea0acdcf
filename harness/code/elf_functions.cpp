#include "harness/code/elf_functions.h"

#include "harness/base/address.h"
#include "harness/base/failure.h"
#include "harness/code/debug_file.h"
#include "harness/code/elf_tables.h"
#include "harness/code/elf_without_sections.h"
#include "harness/code/mapped_file.h"

#include <optional>
#include <sys/mman.h>

namespace proberace {

namespace {

int protection(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) | ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// Precondition: the segments are known.
void add_dynamic(const Bytes& file, const Elf64_Phdr& dynamic, ElfImage& image) {
  std::optional<std::uint64_t> soname;
  std::uint64_t strings = 0;
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic.p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = file.at<Elf64_Dyn>(dynamic.p_offset + at);
    if (entry.d_tag == DT_NULL)
      break;
    if (entry.d_tag == DT_TEXTREL || (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0))
      image.relocates_text = true;
    else if (entry.d_tag == DT_SONAME)
      soname = entry.d_un.d_val;
    else if (entry.d_tag == DT_STRTAB)
      strings = entry.d_un.d_ptr;
  }
  if (const ElfSegment* const s = image.segment_of(strings); soname && s != nullptr)
    image.soname = file.text(s->file_offset + (strings - s->address) + *soname);
}

Sections sections_of(const Bytes& file, const Elf64_Ehdr& header) {
  Sections sections;
  for (std::uint64_t i = 0; header.e_shoff != 0 && i < header.e_shnum; ++i)
    sections.all.push_back(file.at<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
  if (header.e_shstrndx < sections.all.size())
    sections.names = sections.all[header.e_shstrndx].sh_offset;
  return sections;
}

void add_sections(const Bytes& file, const Sections& sections, ElfImage& image) {
  for (const Elf64_Shdr& s : sections.all)
    if (s.sh_type == SHT_SYMTAB || s.sh_type == SHT_DYNSYM)
      add_symbols(file, s, sections, image);
    else if (s.sh_type == SHT_RELA)
      add_slots(file, s, sections, image);
    else if (s.sh_type != SHT_NOBITS && file.text(sections.names + s.sh_name) == ".eh_frame")
      add_fdes(file, s, image);
}

bool has_symbol_table(const Sections& sections) {
  return std::ranges::find(sections.all, std::uint32_t{SHT_SYMTAB}, &Elf64_Shdr::sh_type) !=
         sections.all.end();
}

// The end of the executable section, or else segment, around an address; 0 if there is none.
std::uint64_t code_end(std::uint64_t address, const Sections& sections, const ElfImage& image) {
  for (const Elf64_Shdr& s : sections.all)
    if ((s.sh_flags & SHF_EXECINSTR) != 0 && s.sh_addr <= address && address < s.sh_addr + s.sh_size)
      return s.sh_addr + s.sh_size;
  for (const ElfSegment& s : image.segments)
    if ((s.protection & PROT_EXEC) != 0 && s.address <= address && address < s.address + s.file_bytes)
      return s.address + s.file_bytes;
  return 0;
}

// Names without a size that lie in no function: each reaches to the next beginning. Precondition: the functions are
// sorted.
void add_labels(const Sections& sections, ElfImage& image) {
  std::vector<std::pair<std::uint64_t, const ElfSymbol*>> labels;
  std::uint64_t covered = 0;
  std::vector<const ElfSymbol*> sorted;
  for (const ElfSymbol& symbol : image.symbols)
    sorted.push_back(&symbol);
  std::ranges::sort(sorted, {}, &ElfSymbol::start);
  std::vector<std::uint64_t> starts;
  auto function = image.functions.begin();
  for (const ElfSymbol* const symbol : sorted) {
    for (; function != image.functions.end() && function->start <= symbol->start; ++function)
      covered = std::max(covered, function->start + function->bytes);
    if (symbol->start >= covered && (labels.empty() || labels.back().first != symbol->start))
      labels.emplace_back(symbol->start, symbol);
  }
  for (const ElfFunction& f : image.functions)
    starts.push_back(f.start);
  for (const auto& [start, symbol] : labels)
    starts.push_back(start);
  std::ranges::sort(starts);
  for (const auto& [start, symbol] : labels) {
    std::uint64_t end = code_end(start, sections, image);
    if (const auto next = std::ranges::upper_bound(starts, start); next != starts.end())
      end = std::min(end, *next);
    if (end > start)
      image.functions.push_back({start, end - start, std::string(symbol->name), true});
  }
}

void sort_by_start(std::vector<ElfFunction>& functions) {
  std::ranges::stable_sort(functions, {}, &ElfFunction::start);
}

} // namespace

std::expected<ElfImage, Error> read_elf_functions(std::span<const std::uint8_t> content,
                                                  const std::string& path, DebugFile debug_file) {
  const Bytes file(content);
  const auto header = file.at<Elf64_Ehdr>(0);
  if (content.size() < sizeof header || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
    return bad_input("{} is no x86-64 ELF file", path);
  ElfImage image;
  Elf64_Phdr dynamic{};
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto s = file.at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (s.p_type == PT_LOAD)
      image.segments.push_back({s.p_vaddr, s.p_memsz, s.p_offset, s.p_filesz, protection(s)});
    if (s.p_type == PT_DYNAMIC)
      dynamic = s;
  }
  add_dynamic(file, dynamic, image);
  const Sections sections = sections_of(file, header);
  if (sections.all.empty())
    add_without_sections(file, header, image);
  else
    add_sections(file, sections, image);
  if (debug_file == DebugFile::Read && !has_symbol_table(sections))
    add_debug_symbols(path, image);
  sort_by_start(image.functions);
  add_labels(sections, image);
  sort_by_start(image.functions);
  return image;
}

std::expected<ElfImage, Error> read_elf_functions(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file)
    return std::unexpected(file.error());
  auto image = read_elf_functions(file->bytes(), path);
  if (image) {
    image->symbols.clear();
    image->slots.clear();
    image->entries.clear();
  }
  return image;
}

} // namespace proberace
