// Pages of code that are private copies of the process: somebody has written to them.
#pragma once

#include "harness/base/address.h"

#include <cstddef>
#include <cstdint>

namespace proberace {

// Of `bytes` bytes from there, whole pages. Of a private file mapping.
std::int64_t private_pages(Address start, std::size_t bytes);

} // namespace proberace
