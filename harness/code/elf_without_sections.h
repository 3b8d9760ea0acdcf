// A file whose section headers were removed: its program headers lead to the same tables (System V gABI, "Dynamic
// Section"; LSB 5.0, 10.6.2). Private to this folder.
#pragma once

#include "harness/code/elf_tables.h"

namespace proberace {

// Precondition: the image's segments are there.
void add_without_sections(const Bytes& file, const Elf64_Ehdr& header, ElfImage& image);

} // namespace proberace
