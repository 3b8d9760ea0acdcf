// Which build this program is.
#pragma once

#include <string>

namespace proberace {

// The build id that the linker put into the program (ELF note NT_GNU_BUILD_ID), in hexadecimal: two programs
// with the same one were linked from the same code. "unknown" if there is none.
std::string build_id();

} // namespace proberace
