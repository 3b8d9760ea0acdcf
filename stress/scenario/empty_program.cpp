#include "stress/scenario/empty_program.h"

#include <algorithm>
#include <cstddef>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace proberace {

namespace {

// elf(5): a header, one segment, and exit(0).
struct Image {
  Elf64_Ehdr header{};
  Elf64_Phdr segment{};
  unsigned char code[9] = {0xb8, 0x3c, 0,    0,   0,
                           0x31, 0xff, 0x0f, 0x05}; // mov $60,%eax; xor %edi,%edi; syscall
};

constexpr Image image() {
  constexpr Elf64_Addr kBase = 0x400000;
  Image program;
  constexpr unsigned char kIdent[] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                      ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  std::ranges::copy(kIdent, program.header.e_ident);
  program.header.e_type = ET_EXEC;
  program.header.e_machine = EM_X86_64;
  program.header.e_version = EV_CURRENT;
  program.header.e_entry = kBase + offsetof(Image, code);
  program.header.e_phoff = offsetof(Image, segment);
  program.header.e_ehsize = sizeof(Elf64_Ehdr);
  program.header.e_phentsize = sizeof(Elf64_Phdr);
  program.header.e_phnum = 1;
  program.segment.p_type = PT_LOAD;
  program.segment.p_flags = PF_R | PF_X;
  program.segment.p_vaddr = kBase;
  program.segment.p_filesz = program.segment.p_memsz = sizeof(Image);
  program.segment.p_align = 4096;
  return program;
}

} // namespace

void become_empty_program() noexcept {
  static constexpr Image kProgram = image();
  const int file = ::memfd_create("empty-program", MFD_CLOEXEC);
  const bool written = ::write(file, &kProgram, sizeof kProgram) == static_cast<ssize_t>(sizeof kProgram);
  char name[] = "empty-program";
  char* const arguments[] = {name, nullptr};
  if (written)
    ::execveat(file, "", arguments, ::environ, AT_EMPTY_PATH);
  ::execv("/bin/true", arguments); // vm.memfd_noexec
}

} // namespace proberace
