// Names of functions that are like one that no object has.
#pragma once

#include "harness/code/function_index.h"

#include <span>
#include <string>
#include <vector>

namespace proberace {

// The nearest ones first, at most `most`, as they are shown. Those that hold the name, in any case, and those that
// differ in two letters at most.
std::vector<std::string> similar_names(const std::string& name, std::span<const LoadedObject* const> objects,
                                       std::size_t most = 5);

// For the end of a sentence: "; similar names are 'a', 'b'", or "" if there are none.
std::string hint_of_similar(const std::string& name, std::span<const LoadedObject* const> objects);

} // namespace proberace
