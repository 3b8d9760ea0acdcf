// Counts in JSON: named, at any depth.
#pragma once

#include "harness/base/json_forward.h"

#include <cstddef>
#include <string>

namespace proberace {

// Adds every count of `more` to `sum`, at any depth; values that are not counts are left out.
void add_counts(Json& sum, const Json& more);

// "movups 46, movdqa 35 and 30 more": the `most` most frequent of an object of counts.
std::string most_frequent(const Json& counts, std::size_t most);

} // namespace proberace
