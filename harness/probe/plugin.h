// Strategies built outside the tree: shared libraries that register themselves when they are loaded, as those
// inside do (registry.h).
//
// Which interface one was built against shows in a symbol that registry.h makes it need: the dynamic linker
// refuses another one before a line of it runs.
#pragma once

#include "harness/base/error.h"

#include <string>
#include <vector>

namespace proberace {

// Precondition: the process is single-threaded and has no cells yet. BadInput, in one line, for what cannot
// be loaded, or was built against another interface. What was loaded stays.
Status load_plugin(const std::string& path);
// What was loaded so far, as dl_iterate_phdr(3) names it.
const std::vector<std::string>& loaded_plugins();

} // namespace proberace
