// Which build this program is.
#pragma once

#include <string>

namespace proberace {

inline constexpr const char* kNoBuildId = "unknown";

// The build id that the linker put into the program (ELF note NT_GNU_BUILD_ID), in hexadecimal: two programs
// with the same one were linked from the same code.
std::string build_id();
// The same of a shared library that is loaded, by its name there (dl_iterate_phdr(3)).
std::string build_id(const std::string& library);

} // namespace proberace
