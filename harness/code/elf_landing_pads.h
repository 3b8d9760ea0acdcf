// Where exceptions land: the call-site table of a function's language-specific data (LSDA), as GCC and LLVM
// write it for C++, Rust and others (Itanium C++ ABI, "Exception Handling Tables"). Private to this folder.
#pragma once

#include "harness/code/elf_tables.h"

namespace proberace {

inline constexpr std::uint8_t kEncodingOmitted = 0xFF; // DW_EH_PE_omit

// A pointer in one of the encodings of LSB 5.0, 10.5.1; `at` is its offset in the file and is moved past it,
// `address` where it is loaded. 0 for an encoding that no compiler emits.
std::uint64_t encoded_pointer(const Bytes& file, std::uint64_t& at, std::uint64_t address,
                              std::uint8_t encoding);

// Appends the landing pads to the image's entries. Precondition: the image's segments are there.
void add_landing_pads(const Bytes& file, std::uint64_t lsda, std::uint64_t function, ElfImage& image);

} // namespace proberace
