#include "harness/code/elf_versions.h"

namespace proberace {

namespace {

constexpr unsigned kHidden = 0x8000; // not the default one

// Those that a file defines, by number. The first is its own name.
std::map<unsigned, std::string_view> defined_versions(const Bytes& file, const Elf64_Shdr& section,
                                                      std::uint64_t strings) {
  std::map<unsigned, std::string_view> names;
  std::uint64_t at = section.sh_offset;
  for (std::uint64_t i = 0; i < section.sh_info; ++i) {
    const auto definition = file.at<Elf64_Verdef>(at);
    if ((definition.vd_flags & VER_FLG_BASE) == 0)
      names[definition.vd_ndx] = file.text(strings + file.at<Elf64_Verdaux>(at + definition.vd_aux).vda_name);
    if (definition.vd_next == 0)
      break;
    at += definition.vd_next;
  }
  return names;
}

} // namespace

VersionedName versioned(std::string_view name) {
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos || at == 0)
    return {name, {}};
  const std::size_t version = name.find_first_not_of('@', at);
  return {name.substr(0, at), version == std::string_view::npos ? std::string_view{} : name.substr(version)};
}

SymbolVersions::SymbolVersions(const Bytes& file, const Elf64_Shdr& table, const Sections& sections)
    : file_(file) {
  const auto index = static_cast<std::uint64_t>(&table - sections.all.data());
  for (const Elf64_Shdr& s : sections.all) {
    if (s.sh_type == SHT_GNU_versym && s.sh_link == index) {
      numbers_ = s.sh_offset;
      count_ = s.sh_size / sizeof(Elf64_Half);
    }
    if (s.sh_type == SHT_GNU_verdef && s.sh_link < sections.all.size())
      names_ = defined_versions(file, s, sections.all[s.sh_link].sh_offset);
  }
}

std::string_view SymbolVersions::of(std::uint64_t symbol) const {
  if (symbol >= count_)
    return {};
  const unsigned number = file_.at<Elf64_Half>(numbers_ + symbol * sizeof(Elf64_Half)) & ~kHidden;
  const auto found = names_.find(number);
  return found != names_.end() ? found->second : std::string_view{};
}

} // namespace proberace
