// Strategies built outside the tree: shared libraries that register themselves when they are loaded, like
// those in the tree (registry.h).
//
// registry.h makes a library need a symbol that names the interface against which it was built. The dynamic
// linker refuses a library of another interface before a line of it runs.
#pragma once

#include "harness/base/error.h"

#include <string>
#include <vector>

namespace proberace {

// Precondition: the process is single-threaded and has no cells yet. BadInput, in one line, if the library
// cannot be loaded or was built against another interface. A library that was loaded stays.
Status load_plugin(const std::string& path);
// The libraries that were loaded so far, as dl_iterate_phdr(3) names them.
const std::vector<std::string>& loaded_plugins();

} // namespace proberace
