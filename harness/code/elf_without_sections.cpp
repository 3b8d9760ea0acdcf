#include "harness/code/elf_without_sections.h"

#include <functional>

namespace proberace {

namespace {

class WithoutSections {
public:
  WithoutSections(const Bytes& file, const Elf64_Ehdr& header, const ElfImage& image)
      : file_(file), image_(image) {
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
      const auto s = file.at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
      if (s.p_type == PT_DYNAMIC)
        read_dynamic(s);
      else if (s.p_type == PT_GNU_EH_FRAME)
        find_frames(s);
    }
  }

  void add_to(ElfImage& image) const {
    Sections sections;
    sections.all.resize(2);
    sections.all[0].sh_offset = strings_;
    sections.all[1] = {.sh_name = 0,
                       .sh_type = SHT_DYNSYM,
                       .sh_flags = SHF_ALLOC,
                       .sh_addr = 0,
                       .sh_offset = symbols_,
                       .sh_size = symbol_count_ * sizeof(Elf64_Sym),
                       .sh_link = 0,
                       .sh_info = 0,
                       .sh_addralign = 0,
                       .sh_entsize = sizeof(Elf64_Sym)};
    add_symbols(file_, sections.all[1], sections, image);
    for (const Elf64_Shdr& table : relocations_) {
      Elf64_Shdr linked = table;
      linked.sh_link = 1;
      add_slots(file_, linked, sections, image);
    }
    if (frames_.sh_size != 0)
      add_fdes(file_, frames_, image);
  }

private:
  // 0 if it is in no segment.
  std::uint64_t offset_of(std::uint64_t address) const {
    for (const ElfSegment& s : image_.segments)
      if (s.address <= address && address < s.address + s.file_bytes)
        return address - s.address + s.file_offset;
    return 0;
  }

  void read_dynamic(const Elf64_Phdr& dynamic) {
    std::uint64_t hash = 0, gnu_hash = 0;
    Elf64_Shdr all{}, plt{};
    for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic.p_filesz; at += sizeof(Elf64_Dyn)) {
      const auto entry = file_.at<Elf64_Dyn>(dynamic.p_offset + at);
      switch (entry.d_tag) {
      case DT_SYMTAB: symbols_ = offset_of(entry.d_un.d_ptr); break;
      case DT_STRTAB: strings_ = offset_of(entry.d_un.d_ptr); break;
      case DT_HASH: hash = offset_of(entry.d_un.d_ptr); break;
      case DT_GNU_HASH: gnu_hash = offset_of(entry.d_un.d_ptr); break;
      case DT_RELA: all.sh_offset = offset_of(entry.d_un.d_ptr); break;
      case DT_RELASZ: all.sh_size = entry.d_un.d_val; break;
      case DT_JMPREL: plt.sh_offset = offset_of(entry.d_un.d_ptr); break;
      case DT_PLTRELSZ: plt.sh_size = entry.d_un.d_val; break;
      default: break;
      }
      if (entry.d_tag == DT_NULL)
        break;
    }
    symbol_count_ = hash != 0 ? file_.at<std::uint32_t>(hash + 4) : gnu_hash != 0 ? count_of(gnu_hash) : 0;
    for (Elf64_Shdr& table : {std::ref(all), std::ref(plt)}) {
      table.sh_flags = SHF_ALLOC;
      table.sh_entsize = sizeof(Elf64_Rela);
      if (table.sh_size != 0)
        relocations_.push_back(table);
    }
  }

  // The highest symbol's number is where the last bucket's chain ends.
  std::uint64_t count_of(std::uint64_t table) const {
    const auto buckets = file_.at<std::uint32_t>(table);
    const auto first = file_.at<std::uint32_t>(table + 4);
    const std::uint64_t bucket_at = table + 16 + std::uint64_t{file_.at<std::uint32_t>(table + 8)} * 8;
    const std::uint64_t chain_at = bucket_at + std::uint64_t{buckets} * 4;
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < buckets && bucket_at + i * 4ULL < file_.size(); ++i)
      last = std::max(last, file_.at<std::uint32_t>(bucket_at + i * 4ULL));
    if (last < first)
      return first;
    while ((chain_at + (last - first) * 4ULL) < file_.size() &&
           (file_.at<std::uint32_t>(chain_at + (last - first) * 4ULL) & 1) == 0)
      ++last;
    return last + 1ULL;
  }

  // .eh_frame_hdr: version, three encodings, and the address of .eh_frame, which ends with a zero length.
  void find_frames(const Elf64_Phdr& head) {
    constexpr std::uint8_t kPcRelativeSigned4 = 0x1B;
    if (file_.at<std::uint8_t>(head.p_offset + 1) != kPcRelativeSigned4)
      return;
    frames_.sh_addr = head.p_vaddr + 4 +
                      static_cast<std::uint64_t>(std::int64_t{file_.at<std::int32_t>(head.p_offset + 4)});
    frames_.sh_offset = offset_of(frames_.sh_addr);
    if (frames_.sh_offset != 0)
      frames_.sh_size = file_.size() - frames_.sh_offset;
  }

  const Bytes& file_;
  const ElfImage& image_;
  std::uint64_t symbols_ = 0, strings_ = 0, symbol_count_ = 0;
  std::vector<Elf64_Shdr> relocations_;
  Elf64_Shdr frames_{};
};

} // namespace

void add_without_sections(const Bytes& file, const Elf64_Ehdr& header, ElfImage& image) {
  WithoutSections(file, header, image).add_to(image);
}

} // namespace proberace
