// The symbols of a file that was stripped, from its separate debug file or its .gnu_debugdata. Private to this folder.
#pragma once

#include "harness/code/elf_functions.h"

namespace proberace {

// Appends functions and symbols. The debug file is looked for where elfutils does (dwfl_standard_find_debuginfo): by
// build id and by .gnu_debuglink, beside the file, in .debug beside it, and in /usr/lib/debug; of a path in
// /proc/PID/root, in that root, too. Nothing is asked of a server. Finds none: appends nothing. Changes the
// environment for a moment: no other thread may read it meanwhile.
void add_debug_symbols(const std::string& path, ElfImage& image);

} // namespace proberace
