#include "harness/machine/build_id.h"

#include <cstring>
#include <fmt/format.h>
#include <link.h>
#include <span>

namespace proberace {

namespace {

// The notes of one segment: a header, a name and a description each, padded to four bytes (elf(5)).
std::string id_among(const std::byte* at, const std::byte* end) {
  const auto padded = [](std::size_t n) { return (n + 3) & ~std::size_t{3}; };
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const std::byte* const name = at + sizeof note;
    const std::byte* const description = name + padded(note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      std::string id;
      for (const std::byte b : std::span(description, note.n_descsz))
        id += fmt::format("{:02x}", static_cast<unsigned>(b));
      return id;
    }
    at = description + padded(note.n_descsz);
  }
  return {};
}

struct Wanted {
  std::string library; // the program itself, if empty
  std::string id = kNoBuildId;
};

// dl_iterate_phdr(3): the program comes first.
int look_at(dl_phdr_info* info, std::size_t, void* argument) {
  auto& wanted = *static_cast<Wanted*>(argument);
  if (!wanted.library.empty() && wanted.library != info->dlpi_name)
    return 0;
  for (const ElfW(Phdr) & segment : std::span(info->dlpi_phdr, info->dlpi_phnum))
    if (segment.p_type == PT_NOTE) {
      const auto* const notes = reinterpret_cast<const std::byte*>(info->dlpi_addr + segment.p_vaddr);
      if (const std::string id = id_among(notes, notes + segment.p_memsz); !id.empty())
        wanted.id = id;
    }
  return 1; // no further one
}

} // namespace

std::string build_id() {
  return build_id({});
}

std::string build_id(const std::string& library) {
  Wanted wanted{library};
  ::dl_iterate_phdr(&look_at, &wanted);
  return wanted.id;
}

} // namespace proberace
